"""A run as one file that another clone takes in: plain files in a ZIP, each with its SHA-256, and nothing that is executed.

MLflow gives ids itself, so the run has another id there; the one that it had is its tag `imported.from`.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final

from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.tracking import MlflowClient

from orrery.errors import OrreryError
from orrery.files import reading, replacing
from orrery.tracking.browse import IMPORTED
from orrery.tracking.root import locked
from orrery.tracking.store import bootstrap, connect

MANIFEST, SCHEMA, ROOT = "manifest.json", 1, "artifacts"
UNFINISHED = "import.unfinished"
BATCH: Final = 100
MAX_BYTES = 4 * 2**30  # of what a bundle unpacks to, which is checked in memory
DATE = (1980, 1, 1, 0, 0, 0)  # equal runs make equal files


def export_run(root: Path, run: Run, out: Path) -> int:
    """Write a run with its parameters, tags, curves and artifacts; return the number of files.

    Raises:
        OrreryError: the run is still open, or the file cannot be written.
    """
    if run.info.status == "RUNNING":
        raise OrreryError(f"run {run.info.run_id} is still open", remedy="wait for its end")
    client = connect(root)
    with TemporaryDirectory() as folder, replacing(out) as temporary:
        files = _downloaded(client, run, Path(folder))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            told = _manifest(client, run) | {
                "files": {name: _sha256(path.read_bytes()) for name, path in files.items()}
            }
            _add(archive, MANIFEST, json.dumps(told, indent=1, sort_keys=True).encode())
            for name, path in files.items():
                _add(archive, name, path.read_bytes())
    return len(files)


def _downloaded(client: MlflowClient, run: Run, folder: Path) -> dict[str, Path]:
    """Name in the archive -> file."""
    if client.list_artifacts(run.info.run_id):
        client.download_artifacts(run.info.run_id, "", str(folder))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{ROOT}/{path.relative_to(folder).as_posix()}": path for path in files}


def _manifest(client: MlflowClient, run: Run) -> dict[str, Any]:
    curves = {
        name: [[point.value, point.timestamp, point.step] for point in client.get_metric_history(run.info.run_id, name)]
        for name in sorted(run.data.metrics)
    }  # fmt: skip
    return {
        "schema": SCHEMA,
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "system": run.data.tags.get("system", ""),
        "status": run.info.status,
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "params": run.data.params,
        "tags": {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")},
        "metrics": curves,
    }


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def import_run(root: Path, bundle: Path) -> str:
    """Take a run in; return its id here. Everything is checked before anything is written, and a killed import is undone by the next.

    Raises:
        OrreryError: the file is damaged, of another kind, or holds names that lead out of it; or the run is here already.
    """
    told, contents = read_bundle(bundle)
    experiment = bootstrap(root, told["system"])
    client = connect(root)
    with locked(root, f"import-{told['run_id']}"):
        for run in client.search_runs(
            [experiment], f"tags.`{IMPORTED}` = '{told['run_id']}'", ViewType.ACTIVE_ONLY
        ):
            if UNFINISHED not in run.data.tags:
                raise OrreryError(f"run {told['run_id']} is here already, as {run.info.run_id}", file=bundle, remedy="nothing is to be done")  # fmt: skip
            client.delete_run(run.info.run_id)
        if any(run.info.run_id == told["run_id"] for run in client.search_runs([experiment])):
            raise OrreryError(
                f"run {told['run_id']} is of this clone", file=bundle, remedy="nothing is to be done"
            )
        return _written(client, experiment, told, contents)


def read_bundle(bundle: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files of a bundle, all checked.

    Raises:
        OrreryError: see `import_run`.
    """
    remedy = "export the run again, and copy the file whole"
    with reading(bundle, "an exported run", remedy), zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError(f"it would unpack to more than {MAX_BYTES / 2**30:.0f} GiB")
        contents = {name: archive.read(name) for name in names}
        told = json.loads(contents.pop(MANIFEST))
        files = dict(told["files"])
    if told.get("schema") != SCHEMA:
        raise OrreryError(f"is of schema {told.get('schema')!r}, this version reads {SCHEMA}", file=bundle, remedy="export it with this version")  # fmt: skip
    for name in contents:
        parts = PurePosixPath(name).parts
        if ".." in parts or parts[:1] != (ROOT,) or "\\" in name:
            raise OrreryError(
                f"holds the name {name!r}, which leads out of it", file=bundle, remedy="do not trust it"
            )
    if len(names) != len(set(names)) or set(files) != set(contents):
        raise OrreryError("holds other files than its manifest names", file=bundle, remedy=remedy)
    for name, content in contents.items():
        if _sha256(content) != files[name]:
            raise OrreryError(f"{name} is not what was exported", file=bundle, remedy=remedy)
    return _typed(told, bundle), contents


def _typed(told: dict[str, Any], bundle: Path) -> dict[str, Any]:
    """The manifest, if every part is of its type: it is no more trusted than the rest."""
    try:
        for name, kind in {
            "run_id": str,
            "name": str,
            "system": str,
            "status": str,
            "started": int,
            "ended": int,
        }.items():
            if not isinstance(told[name], kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        for part in ("params", "tags"):
            told[part] = {str(name): str(value) for name, value in told[part].items()}
        told["metrics"] = {
            str(name): [(float(value), int(at), int(step)) for value, at, step in points]
            for name, points in told["metrics"].items()
        }
        if (
            not told["run_id"].isalnum()
            or told["status"] not in ("FINISHED", "FAILED", "KILLED")
            or not told["system"]
        ):
            raise ValueError("run_id, status or system make no sense")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OrreryError(f"{MANIFEST}: {error}", file=bundle, remedy="export the run again") from error
    return told


def _written(client: MlflowClient, experiment: str, told: dict[str, Any], contents: dict[str, bytes]) -> str:
    tags = told["tags"] | {IMPORTED: told["run_id"], UNFINISHED: "true"}
    run_id = str(client.create_run(experiment, told["started"], tags, told["name"]).info.run_id)
    points = [Metric(name, *point) for name, curve in told["metrics"].items() for point in curve]
    params = [Param(name, value) for name, value in told["params"].items()]
    for first in range(0, max(len(points), len(params)), BATCH):
        part = slice(first, first + BATCH)
        client.log_batch(run_id, points[part], params[part], [RunTag(IMPORTED, told["run_id"])])
    with TemporaryDirectory() as folder:
        for name, content in contents.items():
            path = Path(folder) / PurePosixPath(name).relative_to(ROOT)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if contents:
            client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, told["status"], told["ended"])
    client.delete_tag(run_id, UNFINISHED)
    return run_id
