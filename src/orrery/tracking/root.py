"""Where the runs of this clone are kept, and locks that die with their process."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orrery.errors import OrreryError

DATABASE = Path("mlruns/mlflow.db")
ARTIFACTS = Path("mlruns/artifacts")
LOCKS = Path("mlruns/locks")
SERVERS = ("http://", "https://")


def checkout_root(start: Path | None = None) -> Path:
    """The clone around `start` (default: the current directory), links resolved.

    Raises:
        OrreryError: `start` is not inside a clone.
    """
    start = (start or Path()).resolve()
    for folder in (start, *start.parents):
        if (folder / ".git").exists() or (folder / ".dvc").is_dir():
            return folder
    raise OrreryError(
        "is not inside a clone of the project",
        file=start,
        remedy="change into the clone, or set DVC_ROOT to it",
    )


def project_root() -> Path:
    """The clone that keeps the runs: DVC_ROOT, else the clone around the current directory.

    `dvc exp run --temp` works in a throw-away copy but names the real clone in DVC_ROOT, so its runs survive.

    Raises:
        OrreryError: there is no clone.
    """
    named = os.environ.get("DVC_ROOT")
    return Path(named).resolve() if named else checkout_root()


def tracking_uri(root: Path) -> str:
    """The database of `root`, or the server that MLFLOW_TRACKING_URI names.

    MLflow itself sets that variable to whatever database it last opened, so only servers count in it.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    return named if named.startswith(SERVERS) else f"sqlite:///{root / DATABASE}"


def is_local(root: Path) -> bool:
    """Whether the runs are in the database of `root`, not on a server."""
    return tracking_uri(root).startswith("sqlite:")


def clone_id(root: Path) -> str:
    """A name of this clone on this host that tells neither."""
    return hashlib.sha256(f"{socket.gethostname()}:{root.resolve()}".encode()).hexdigest()[:16]


@contextmanager
def locked(root: Path, name: str, *, busy: str | None = None) -> Iterator[None]:
    """Hold the lock `name` of `root`; a killed process lets go of it.

    Args:
        root: the clone.
        name: of the lock.
        busy: what to say where another process holds it [default: wait for it].

    Raises:
        OrreryError: `mlruns/locks` cannot be written, or the lock is held and `busy` is given.
    """
    path = root / LOCKS / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    except OSError as error:
        raise OrreryError(
            f"cannot be written ({error.strerror})", file=path, remedy="make the folder mlruns writable"
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise OrreryError(str(busy), remedy="wait for it, or end it") from error
        yield


def is_locked(root: Path, name: str) -> bool:
    """Whether some process holds the lock `name` of `root` now."""
    try:
        with (root / LOCKS / f"{name}.lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
