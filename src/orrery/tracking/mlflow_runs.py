"""A training as an MLflow run. Import it only where MLflow is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import mlflow
from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source_registry import get_dataset_source_from_json
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Param, Run, ViewType
from mlflow.tracking import MlflowClient

from orrery.params import Params
from orrery.tracking.logger import RunLogger
from orrery.tracking.mirror import open_mirror
from orrery.tracking.provenance import flatten, remembered_md5
from orrery.tracking.root import clone_id, is_local, is_locked, locked, tracking_uri
from orrery.tracking.runs import TrackedRun
from orrery.tracking.server import lost_is_told
from orrery.tracking.store import bootstrap, connect

CLONE = "clone"  # tag of a run: where its lock is
DIGESTS = Path("mlruns/digests.json")  # of folders that were trained on
BATCH = 100  # parameters that MLflow takes at once
SHOWN = ("seed", "scale", "train")  # shown beside the variant's own; the artifact params.yaml has everything


@contextmanager
def tracked_run(
    params: Params, tags: Mapping[str, str], data: Path | None, root: Path
) -> Iterator[TrackedRun]:
    """See `orrery.tracking.runs.training_run`; `tags` name the system and the variant."""
    tags = dict(tags) | {CLONE: clone_id(root)}
    told = nullcontext() if is_local(root) else lost_is_told(tracking_uri(root))
    with told, _tracked_run(params, tags, data, root) as run:
        yield run


@contextmanager
def _tracked_run(
    params: Params, tags: Mapping[str, str], data: Path | None, root: Path
) -> Iterator[TrackedRun]:
    experiment = bootstrap(root, tags["system"])
    client = connect(root)
    name = f"{tags['system']}-{tags['variant']}" + (
        f"-seed-{tags['replica']}" if tags["replica"] != "0" else ""
    )
    run = _begun(client, experiment, tags.get("attempt")) or client.create_run(
        experiment, tags=dict(tags), run_name=name
    )
    run_id = run.info.run_id
    with locked(root, _lock(run_id), busy=f"the training of {name} is running in another process"):
        _end_dead_runs(client, experiment, root)
        with _active(run_id, tags):
            _log_inputs(client, run, params, tags, data, root)
            shown = _shown(params, tags["system"], tags["variant"])
            mirror = open_mirror(params.tracking, run_id, name, shown, root)
            failed = True
            try:
                logger = RunLogger(tracking_uri(root), run_id, mirror, _logged_steps(client, run))
                yield TrackedRun(run_id, logger, lambda folder, name: mlflow.log_artifacts(str(folder), name))
                failed = False
            finally:
                mirror.finish(failed=failed)


@contextmanager
def _active(run_id: str, tags: Mapping[str, str]) -> Iterator[None]:
    """The run as MLflow's active one, so that system metrics and global calls land in it; ends as it should."""
    with mlflow.start_run(run_id=run_id, tags=dict(tags), log_system_metrics=True):
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            mlflow.end_run("KILLED")
            raise


def _lock(run_id: str) -> str:
    return f"run-{run_id}"


def _begun(client: MlflowClient, experiment: str, attempt: str | None) -> Run | None:
    """The run of a training that was begun, unless it is gone."""
    if attempt is None:
        return None
    return next(
        iter(client.search_runs([experiment], f"tags.attempt = '{attempt}'", ViewType.ACTIVE_ONLY)), None
    )


def _end_dead_runs(client: MlflowClient, experiment: str, root: Path) -> None:
    """Mark runs KILLED that no process holds. On a server, only those of this clone: no one else knows its locks."""
    wanted = "attributes.status = 'RUNNING'"
    wanted += "" if is_local(root) else f" AND tags.{CLONE} = '{clone_id(root)}'"
    for run in client.search_runs([experiment], wanted, ViewType.ACTIVE_ONLY):
        if not is_locked(root, _lock(run.info.run_id)):
            client.set_terminated(run.info.run_id, "KILLED")


def _log_inputs(
    client: MlflowClient, run: Run, params: Params, tags: Mapping[str, str], data: Path | None, root: Path
) -> None:
    """Parameters and data sets, each once: MLflow refuses a parameter twice with another value."""
    run_id = run.info.run_id
    shown = _shown(params, tags["system"], tags["variant"])
    fresh = iter([Param(key, value) for key, value in shown.items() if key not in run.data.params])
    while batch := list(islice(fresh, BATCH)):
        client.log_batch(run_id, params=batch)
    mlflow.log_dict(params.model_dump(mode="json"), "params.yaml")
    if not (run.inputs and run.inputs.dataset_inputs):
        sets: list[Dataset | None] = [_dataset("data", "data", tags["data.md5"])]
        sets += (
            [_dataset(data.name, os.path.relpath(data), remembered_md5(data, root / DIGESTS))] if data else []
        )
        mlflow.log_inputs(datasets=sets, contexts=["training"] * len(sets), tags_list=[None] * len(sets))


def _dataset(name: str, path: str, digest: str) -> Dataset:
    """A data set by name and DVC's md5 (36 characters for a folder, all that MLflow allows)."""
    source = get_dataset_source_from_json(json.dumps({"uri": path}), "local")
    return MetaDataset(source, name=name, digest=digest)  # type: ignore[abstract]


def _shown(params: Params, system: str, variant: str) -> dict[str, str]:
    """The parameters worth a column in the table of runs, flat."""
    tree = params.model_dump(mode="json")
    section = tree["systems"].get(system, {})
    chosen: dict[str, Any] = {key: tree[key] for key in SHOWN}
    chosen["variant"] = section.get("variants", {}).get(variant, {})
    chosen["patch"] = section.get("patch", {})
    return flatten(chosen)


def _logged_steps(client: MlflowClient, run: Run) -> dict[str, int]:
    """The last step of every metric that the run holds already."""
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {name: max(value.step for value in history) for name, history in histories.items() if history}
