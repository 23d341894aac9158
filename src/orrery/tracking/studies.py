"""The run of a study: parent of its trials' runs, one whatever happens, with the report as artifacts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import optuna

from orrery.tracking.provenance import git_commit, git_dirty
from orrery.tracking.root import checkout_root, locked

RUN = "run_id"  # attribute of a study


def study_run(study: optuna.Study, system: str, root: Path) -> str:
    """The id of the study's run in MLflow, made by whichever worker comes first; empty where MLflow is not installed.

    Args:
        study: in which the id is kept.
        system: also the name of the experiment.
        root: the clone that keeps the runs.
    """
    if find_spec("mlflow") is None:
        return ""
    from orrery.tracking.store import bootstrap, connect

    with locked(root, f"study-{study.study_name}"):
        if RUN not in study.user_attrs:
            experiment, client, checkout = bootstrap(root, system), connect(root), checkout_root()
            tags = {
                "study": study.study_name,
                "system": system,
                "stage": f"tune@{system}",
                "git.commit": git_commit(checkout),
                "git.dirty": str(git_dirty(checkout)).lower(),
            }
            run = client.create_run(experiment, tags=tags, run_name=f"{system}-study")
            client.set_terminated(run.info.run_id)  # trials run on their own; the parent is never left open
            study.set_user_attr(RUN, run.info.run_id)
        return str(study.user_attrs[RUN])


def log_report(study: optuna.Study, root: Path, report: Path) -> None:
    """Store a folder with the study's run, and the best value of one objective; nothing where MLflow is not installed."""
    if find_spec("mlflow") is None:
        return
    from orrery.tracking.store import connect

    client, run_id = connect(root), study.user_attrs[RUN]
    client.log_artifacts(run_id, str(report), "tuning")
    if len(study.directions) == 1:
        client.log_metric(run_id, "best", study.best_value)
