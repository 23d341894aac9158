"""Runs as a person looks for them: listed, found by a short id, by their weights or by a checkpoint, and set beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib import image as pictures
from matplotlib.figure import Figure
from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from orrery.errors import OrreryError
from orrery.figures import save
from orrery.files import read_text_of
from orrery.tracking.store import connect

SHORT = 8  # characters of an id that are shown
IMPORTED = "imported.from"
WEIGHTS = "run.json"
NOTES = {WEIGHTS: "run_id", "training.json": "attempt"}
"""What a training writes -> what it names of its run."""
PICTURES_COMPARED = 8


@dataclass(frozen=True)
class RunRow:
    """A run in one line.

    Attributes:
        run_id: of MLflow.
        system: experiment.
        variant: of the system; empty for a study.
        seed: number of the repeated training, from 0.
        stage: of the pipeline.
        started: date and time, UTC.
        commit: of the code, shortened; `+` where the tree differed from it.
        status: FINISHED, RUNNING, FAILED or KILLED.
        metric: mean over the test scenes of the figure asked for; None where it was not measured.
    """

    run_id: str
    system: str
    variant: str
    seed: str
    stage: str
    started: str
    commit: str
    status: str
    metric: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def list_runs(
    root: Path, system: str | None = None, metrics: Mapping[str, str] | None = None
) -> list[RunRow]:
    """All runs of a system, or of all of them, newest first.

    Args:
        root: the clone that keeps them.
        system: to list alone.
        metrics: system -> figure of the test scenes to show, e.g. "rmse_m".
    """
    client = connect(root)
    experiments = client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
    ids = [each.experiment_id for each in experiments if each.name == system or not system]
    if system and not ids:
        known = ", ".join(sorted(each.name for each in experiments if each.name != "Default"))
        raise OrreryError(f"no runs of {system!r}", remedy=f"choose one of {known}")
    return [_row(run, metrics or {}) for run in _runs(client, ids)]


def _runs(client: MlflowClient, experiments: list[str], query: str = "") -> Iterator[Run]:
    token = None
    while experiments:
        page = client.search_runs(
            experiments, query, ViewType.ACTIVE_ONLY, order_by=["attributes.start_time DESC"], page_token=token
        )  # fmt: skip
        yield from page
        token = page.token
        if not token:
            return


def _row(run: Run, metrics: Mapping[str, str]) -> RunRow:
    tags = run.data.tags
    commit = tags.get("git.commit", "")[:SHORT] + ("+" if tags.get("git.dirty") == "true" else "")
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    system, variant, replica, stage = (
        tags.get(name, "") for name in ("system", "variant", "replica", "stage")
    )
    value = scenes_mean(run, metrics[system]) if system in metrics else None
    return RunRow(run.info.run_id, system, variant, replica, stage, started, commit, run.info.status, value)


def scenes_mean(run: Run, metric: str) -> float | None:
    """Mean over the test scenes of a figure; None where there is none."""
    values = [value for name, value in run.data.metrics.items() if name.startswith("test/") and name.endswith(f"/{metric}")]  # fmt: skip
    mean = float(np.mean(values)) if values else math.nan
    return mean if math.isfinite(mean) else None


def find_run(root: Path, named: str) -> Run:
    """The run that an id, the beginning of one, or a file or folder that training wrote leads to.

    Args:
        root: the clone.
        named: run id or its beginning (also of a run as it was called where it was exported), models/<system>/<variant>,
            its weights, or the scratch folder of a training under way.

    Raises:
        OrreryError: none, or several.
    """
    client, path = connect(root), Path(named)
    wanted = _written_by(path) if named and path.exists() else named
    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ACTIVE_ONLY)]
    found = [
        run for run in _runs(client, experiments) if any(name.startswith(wanted) for name in _names(run))
    ]
    if not found:
        raise OrreryError(f"no run {wanted!r}", remedy="see `orrery runs`")
    if len(found) > 1:
        ids = ", ".join(run.info.run_id[: len(wanted) + 4] for run in found[:4])
        raise OrreryError(
            f"{wanted!r} is the beginning of {len(found)} runs ({ids})", remedy="give more of the id"
        )
    return found[0]


def _names(run: Run) -> list[str]:
    """What a run may be called by: its id here, where it was exported, and the name of its training."""
    return [run.info.run_id, *(run.data.tags[key] for key in (IMPORTED, "attempt") if key in run.data.tags)]


def _written_by(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    for name, key in NOTES.items():
        if (folder / name).exists():
            return read_text_of(folder / name, key)
    raise OrreryError(
        "was written by no training", file=path, remedy=f"name a folder with {' or '.join(NOTES)}"
    )


def weights_of(root: Path, run: Run) -> list[str]:
    """Where what a run has trained lies: folders under models/ and versions of the registry."""
    ids = {run.info.run_id, run.data.tags.get(IMPORTED)}
    files = sorted((root / "models").glob(f"*/**/{WEIGHTS}"))
    folders = [str(file.parent.relative_to(root)) for file in files if read_text_of(file, "run_id") in ids]
    versions = connect(root).search_model_versions(f"run_id = '{run.info.run_id}'")
    return folders + [f"{version.name} version {version.version}" for version in versions]


@dataclass(frozen=True)
class Beside:
    """Two runs beside each other: name -> value of the one, value of the other; None where it has none."""

    params: dict[str, tuple[str | None, str | None]]
    metrics: dict[str, tuple[float | None, float | None]]


def compare(one: Run, other: Run) -> Beside:
    """Parameters that differ, and all metrics of the test scenes and of training."""
    params = _pairs(one.data.params, other.data.params)
    metrics = _pairs(one.data.metrics, other.data.metrics)
    return Beside(
        {name: pair for name, pair in params.items() if pair[0] != pair[1]},
        {name: pair for name, pair in metrics.items() if not name.startswith("system/")},
    )


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (one.get(name), other.get(name)) for name in sorted({*one, *other})}


def pictures_beside(root: Path, one: Run, other: Run, out: Path) -> int:
    """Write pictures that both runs have, one above the other, as a PNG each; return how many."""
    client, written = connect(root), 0
    names = sorted(_pictures(client, one) & _pictures(client, other))[:PICTURES_COMPARED]
    for name in names:
        with TemporaryDirectory() as folder:
            planes = [
                pictures.imread(client.download_artifacts(run.info.run_id, name, _made(Path(folder) / side)))
                for side, run in (("one", one), ("other", other))
            ]
        height, width = (max(plane.shape[axis] for plane in planes) / 70 for axis in (0, 1))
        figure = Figure(figsize=(width, 2 * height + 0.8), layout="constrained")
        for axis, plane, run in zip(figure.subplots(2), planes, (one, other), strict=True):
            axis.imshow(plane)
            axis.set_title(f"{run.info.run_id[:SHORT]} {run.data.tags.get('variant', '')}", fontsize=9)
            axis.set_axis_off()
        save(figure, out / Path(name).name)
        written += 1
    return written


def _made(folder: Path) -> str:
    folder.mkdir(parents=True)
    return str(folder)


def _pictures(client: MlflowClient, run: Run, folder: str = "evaluation") -> set[str]:
    return {
        each.path
        for each in client.list_artifacts(run.info.run_id, folder)
        if not each.is_dir and each.path.endswith(".png")
    }
