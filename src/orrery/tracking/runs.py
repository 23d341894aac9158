"""One run a training, whatever happens to it: opened, resumed by its id, and ended with the truth about its end.

This module needs neither DVC nor MLflow, so that a bare machine with a GPU can train.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
from pytorch_lightning.utilities import rank_zero_only

from orrery.files import write_json
from orrery.params import Params
from orrery.tracking.logger import FolderLogger, RunLogger
from orrery.tracking.provenance import run_tags
from orrery.tracking.root import checkout_root, project_root, tracking_uri

UNTRACKED = Path("mlruns/untracked")


@dataclass(frozen=True)
class TrackedRun:
    """A run that is open.

    Attributes:
        run_id: of MLflow, where it is installed.
        logger: for the trainer.
        keep: stores a folder of files under a name.
    """

    run_id: str
    logger: RunLogger | FolderLogger
    keep: Callable[[Path, str], None]

    def lightning_logger(self) -> RunLogger | FolderLogger:
        """The logger to give to the trainer; it has `log_image(key, [uint8 array], step)` too."""
        return self.logger

    def log_artifacts(self, folder: Path, name: str) -> None:
        """Store the files of `folder` with the run, under `name`."""
        self.keep(folder, name)


@contextmanager
def training_run(
    system: str,
    variant: str,
    params: Params,
    *,
    attempt: str | None = None,
    data: Path | None = None,
    replica: int = 0,
    tags: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> Iterator[TrackedRun]:
    """Open the run of a training; on leaving, it is FINISHED, FAILED on an error, KILLED on an interrupt.

    A training that is killed outright leaves its run open; the next `attempt` of that name continues it, or the next training
    of the same clone ends it. Of several processes training together only the first one logs. Where MLflow is not
    installed, metrics go to a CSV file instead.

    Args:
        system: also the name of the experiment.
        variant: of the system.
        params: the resolved parameters, logged in full; they decide about the W&B mirror.
        attempt: name of the training; the run that has it is continued, where there is one.
        data: file or folder trained on, logged with the md5 that DVC gives it.
        replica: number of the seed, counted from 0; a tag of the run.
        tags: further ones, e.g. of the study that the training belongs to.
        root: the clone that keeps the runs [default: `project_root()`].

    Raises:
        OrreryError: there is no clone, or `mlruns` cannot be written.
    """
    root = root or project_root()
    known = run_tags(system, variant, params.digest(), checkout_root())
    named = {"attempt": attempt} if attempt else {}
    tags = known | {"replica": str(replica)} | named | dict(tags or {})
    first, mlflow = getattr(rank_zero_only, "rank", 0) == 0, find_spec("mlflow") is not None
    if first and not mlflow:
        click.echo(f"MLflow is not installed: this training is logged to {root / UNTRACKED} only", err=True)
    if not mlflow:
        yield _untracked(attempt or uuid.uuid4().hex, params, tags, root)
        return
    if not first:
        yield TrackedRun("", RunLogger(tracking_uri(root), None), lambda folder, name: None)
        return
    from orrery.tracking.mlflow_runs import tracked_run

    with tracked_run(params, tags, data, root) as run:
        yield run


def _untracked(run_id: str, params: Params, tags: dict[str, str], root: Path) -> TrackedRun:
    """A run as a folder: parameters, tags, and one CSV a start."""
    folder = root / UNTRACKED / run_id
    logger = FolderLogger(folder.parent, run_id, version=f"start-{len(list(folder.glob('start-*')))}")
    if getattr(rank_zero_only, "rank", 0) == 0:
        write_json(folder / "tags.json", tags)
        write_json(folder / "params.json", params.model_dump(mode="json"))
    return TrackedRun(run_id, logger, lambda folder, name: None)
