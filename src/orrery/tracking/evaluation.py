"""What a run's model turned out to be worth: metrics and pictures added to the run that trained it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from orrery.tracking.root import DATABASE, is_local, project_root


def log_evaluation(
    run_id: str, evaluation: Mapping[str, Any], folder: Path | None, *, root: Path | None = None
) -> None:
    """Add the test scenes' metrics and the files of `folder` to the run that trained the model.

    An evaluation stands by itself: where MLflow is not installed or does not know the run, one line says so.

    Args:
        run_id: of the training.
        evaluation: with a mapping ``scenes``: scene -> metric -> value.
        folder: metrics.json and pictures, where there are any.
        root: the clone that keeps the runs [default: `project_root()`].
    """
    if find_spec("mlflow") is None:
        return
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    from orrery.tracking.store import connect

    root, now = root or project_root(), int(time.time() * 1000)
    unknown = f"run {run_id} is not in this clone's database: the evaluation stands in reports/ alone"
    if is_local(root) and not (root / DATABASE).exists():
        click.echo(unknown)
        return
    client = connect(root)
    try:
        known = client.get_run(run_id).data.metrics
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        click.echo(unknown)
        return
    found = metrics_by_name(evaluation)  # an evaluation that was killed and is repeated says nothing twice
    client.log_batch(
        run_id, [Metric(name, value, now, 0) for name, value in found.items() if known.get(name) != value]
    )
    if folder is not None:
        client.log_artifacts(run_id, str(folder), "evaluation")


def metrics_by_name(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """``test/<scene>/<metric>`` -> value; MLflow allows no @ in a name."""
    return {
        f"test/{scene}/{name.replace('@', '_at_')}": value
        for scene, row in evaluation["scenes"].items()
        if row["set"] == "test"
        for name, value in row.items()
        if isinstance(value, float) and math.isfinite(value)
    }
