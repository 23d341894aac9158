"""Opening MLflow's database: created once and whole, repaired when the clone was moved."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient

from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.tracking.relocate import relocate
from orrery.tracking.root import ARTIFACTS, DATABASE, is_local, locked, tracking_uri
from orrery.tracking.server import require_answer


def bootstrap(root: Path, experiment: str) -> str:
    """Make sure that the database and an experiment exist; safe in several processes at once.

    Returns:
        The experiment's id.

    Raises:
        OrreryError: `mlruns` cannot be written.
    """
    with locked(root, "bootstrap"):
        if is_local(root) and not (root / DATABASE).exists():
            _create_database(root)
        client = connect(root)
        known = client.get_experiment_by_name(experiment)
        if known is None:
            location = (root / ARTIFACTS / experiment).as_uri() if is_local(root) else None
            return str(client.create_experiment(experiment, artifact_location=location))
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)


def connect(root: Path) -> MlflowClient:
    """A client of the runs and models of `root`; MLflow's global functions speak to the same place afterwards.

    Raises:
        OrreryError: there is no database yet, or the server does not answer.
    """
    database = root / DATABASE
    if is_local(root) and not database.exists():
        raise OrreryError(
            "does not exist, so there are no runs or models",
            file=database,
            remedy="run `make repro`, or `dvc repro --force` where mlruns was deleted",
        )
    if not is_local(root):
        require_answer(tracking_uri(root))
    relocate(root)
    mlflow.set_tracking_uri(tracking_uri(root))
    return MlflowClient(tracking_uri(root))


def _create_database(root: Path) -> None:
    """Make the tables under a temporary name: a process killed half-way leaves nothing that MLflow would trip over."""
    with replacing(root / DATABASE) as temporary:
        store = SqlAlchemyStore(f"sqlite:///{temporary}", (root / ARTIFACTS).as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
