"""The run of a study: parent of its trials' runs, one whatever happens, with the report as artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import optuna

from orrery.tracking.provenance import git_commit, git_dirty
from orrery.tracking.root import checkout_root, locked

RUN = "run_id"  # attribute of a study


@contextmanager
def study_run(study: optuna.Study, system: str, root: Path, report: Path | None = None) -> Iterator[str]:
    """The id of the study's run in MLflow, made by whichever worker comes first; empty where MLflow is not installed.

    Args:
        study: in which the id is kept.
        system: also the name of the experiment.
        root: the clone that keeps the runs.
        report: folder to store with the run, which ends it.
    """
    if find_spec("mlflow") is None:
        yield ""
        return
    from orrery.tracking.store import bootstrap, connect

    with locked(root, f"study-{study.study_name}"):
        run_id = study.user_attrs.get(RUN)
        experiment, client = bootstrap(root, system), connect(root)
        if run_id is None:
            commit, dirty = git_commit(checkout_root()), git_dirty(checkout_root())
            tags = {"study": study.study_name, "system": system, "stage": f"tune@{system}", "git.commit": commit, "git.dirty": str(dirty).lower()}  # fmt: skip
            run = client.create_run(experiment, tags=tags, run_name=f"{system}-study")
            client.set_terminated(run.info.run_id)  # trials run on their own; the parent is never left open
            study.set_user_attr(RUN, run.info.run_id)
            run_id = run.info.run_id
    yield str(run_id)
    if report is not None:
        client.log_artifacts(run_id, str(report), "tuning")
        if len(study.directions) == 1:
            client.log_metric(run_id, "best", study.best_value)
