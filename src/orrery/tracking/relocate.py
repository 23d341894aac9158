"""A clone that was moved: MLflow keeps absolute artifact paths, so they are rewritten to where the clone is now."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from orrery.errors import OrreryError
from orrery.tracking.root import ARTIFACTS, DATABASE, is_local, tracking_uri

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
INSIDE = f"/{ARTIFACTS.as_posix()}"
# Local paths into some mlruns/artifacts that is not ours; object stores and models:/ addresses stay as they are.
STALE = (
    "instr({column}, :inside) > 0 AND {column} LIKE 'file:%' AND substr({column}, 1, length(:here)) != :here"
)


def relocate(root: Path) -> int:
    """Point every artifact path of the database at `root`; all or nothing, and cheap when there is nothing to do.

    Returns:
        How many paths were rewritten.

    Raises:
        OrreryError: the database is damaged or cannot be written.
    """
    database = root / DATABASE
    if not is_local(root) or not database.exists():
        return 0
    names = {"here": (root / ARTIFACTS).as_uri(), "inside": INSIDE}
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
            stale = [place for place in COLUMNS if _is_stale(connection, *place, names)]
            return sum(_rewrite(connection, *place, names) for place in stale)
    except sqlite3.Error as error:
        raise OrreryError(
            f"artifact paths cannot be brought up to date ({error})",
            file=database,
            remedy="make it writable, or move it away and run `make repro`",
        ) from error


def _is_stale(connection: sqlite3.Connection, table: str, column: str, names: dict[str, str]) -> bool:
    query = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE {STALE.format(column=column)})"
    return bool(connection.execute(query, names).fetchone()[0])


def _rewrite(connection: sqlite3.Connection, table: str, column: str, names: dict[str, str]) -> int:
    tail = f"substr({column}, instr({column}, :inside) + length(:inside))"
    query = f"UPDATE {table} SET {column} = :here || {tail} WHERE {STALE.format(column=column)}"
    return connection.execute(query, names).rowcount


def ui_command(root: Path, port: int = 5000) -> list[str]:
    """The command that shows the runs and models of `root` at http://127.0.0.1:<port>; a moved clone is repaired.

    Raises:
        OrreryError: the runs are on a server, or there are none yet.
    """
    if not is_local(root):
        raise OrreryError(f"the runs are on {tracking_uri(root)}", remedy="open that address in a browser")
    if not (root / DATABASE).exists():
        raise OrreryError("does not exist yet", file=root / DATABASE, remedy="run `make repro` first")
    relocate(root)
    store = [
        "--backend-store-uri",
        tracking_uri(root),
        "--default-artifact-root",
        (root / ARTIFACTS).as_uri(),
    ]
    return [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        *store,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
