"""A study on disk or in a database: opened, resumed, shared by workers; every setting is tried once.

A journal file (JSON lines, no pickle) serves any number of processes on one file system; PostgreSQL those of many hosts.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from orrery.errors import OrreryError
from orrery.files import reading
from orrery.seeds import derive
from orrery.tracking.root import is_locked, locked
from orrery.tuning.params import TuneParams
from orrery.tuning.setting import Setting, drawn

JOURNAL = "study.jsonl"
WORKER = "worker"  # attribute of a trial: host and process
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTUP_TRIALS = 5
Objective = Callable[[optuna.Trial, Setting], list[float]]


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The journal in `folder`, or the database that a URL names.

    Raises:
        OrreryError: it cannot be opened.
    """
    if url is None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / JOURNAL
        with reading(path, "the journal of a study", "restore it, or delete it to search afresh"):
            _mend(path)
            return JournalStorage(JournalFileBackend(str(path)))
    try:  # the driver that `orrery[team]` installs; SQLAlchemy's own choice changed with 2.1
        return RDBStorage(re.sub("^postgres(ql)?://", "postgresql+psycopg2://", url))
    except Exception as error:  # of SQLAlchemy, of the driver, of Optuna's schema
        told = " ".join(str(error).split())[:200]
        raise OrreryError(
            f"--storage cannot be opened ({told})",
            remedy="check the server and the URL, e.g. postgresql://host/studies: a database of its own, not MLflow's",
        ) from error


def _mend(path: Path) -> None:
    """Cut off the half line of a worker that was killed while writing: what is appended to it would be lost with it.

    Raises:
        ValueError: another line is no JSON.
    """
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            json.loads(line)
        if whole != content:
            os.truncate(path, len(whole))
    finally:
        lock.release()


def open_study(storage: BaseStorage, name: str, options: TuneParams, now: Setting) -> optuna.Study:
    """The study of that name, with the present setting as its first trial."""
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        directions=["maximize" if each.greater_is_better else "minimize" for each in options.objectives],
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    known = study.get_trials(deepcopy=False)
    if not known:
        study.set_user_attr("optuna", optuna.__version__)
    tried = [trial for trial in known if trial.state != TrialState.FAIL]
    if not any(dict(now) in (trial.params, trial.system_attrs.get("fixed_params")) for trial in tried):
        study.enqueue_trial(dict(now))
    return study


def work(
    study: optuna.Study, options: TuneParams, objective: Objective, seed: int, root: Path, trials: int
) -> None:
    """Try settings until the study has `trials` that ended or are under way. A dead worker's trial is tried again.

    Args:
        study: shared with others, perhaps.
        options: where to search.
        objective: trains and judges a setting; `optuna.TrialPruned` ends a hopeless one.
        seed: of the draws, each of which depends on how many there were before: a resumed study repeats none.
        root: the clone whose locks tell which workers of this host live.
        trials: in all.
    """
    while True:
        with ExitStack() as held:
            with locked(root, f"tuning-{study.study_name}"):  # one worker of this host at a time asks
                trial = _next(study, options, seed, root, trials)
                if trial is None:
                    return
                held.enter_context(locked(root, _lock(study, trial.number)))
            try:
                values = objective(trial, trial.params)
            except optuna.TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
            except OrreryError:
                study.tell(trial, state=TrialState.FAIL)
                raise
            else:
                study.tell(trial, values)


def _next(
    study: optuna.Study, options: TuneParams, seed: int, root: Path, trials: int
) -> optuna.Trial | None:
    """The next setting; None when there are enough."""
    _retry_dead(study, options, root)
    known = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]
    if sum(trial.state != TrialState.WAITING for trial in known) >= trials:
        return None
    own = "" if _of_one_host(study) else socket.gethostname()
    draws = derive(seed, "tune", study.study_name, len(known), own)
    study.sampler = optuna.samplers.TPESampler(seed=draws % 2**32, n_startup_trials=STARTUP_TRIALS)
    trial = study.ask()
    trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
    drawn(trial, options.space)
    return trial


def _of_one_host(study: optuna.Study) -> bool:
    """A journal is a file; a database may have workers anywhere."""
    return isinstance(study._storage, JournalStorage)


def _lock(study: optuna.Study, number: int) -> str:
    return f"tuning-{study.study_name}-{number}"


def _retry_dead(study: optuna.Study, options: TuneParams, root: Path) -> None:
    """Trials of killed workers of this host end as failed, and their settings are tried next; those of other hosts when these run again.

    A setting that was not yet drawn whole is drawn again, the same: failed trials do not count among the draws.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host = str(trial.user_attrs.get(WORKER, "")).partition(":")[0]
        ours = host == socket.gethostname() or (not host and _of_one_host(study))
        if ours and not is_locked(root, _lock(study, trial.number)):
            study.tell(trial.number, state=TrialState.FAIL)
            if trial.params.keys() == options.space.keys():
                study.enqueue_trial(trial.params)


class Pruning(pl.Callback):
    """Tells the study the validation figure, which is physical, and ends a trial that lags behind the others.

    Optuna's own callback wants another distribution of Lightning.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, and ask whether to go on."""
        value = trainer.callback_metrics.get(str(pl_module.monitor))
        if value is None or trainer.sanity_checking:
            return
        self.trial.report(float(value), trainer.global_step)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"lags behind after {trainer.global_step} steps")


def best(study: optuna.Study) -> FrozenTrial:
    """The winner of a study of one objective.

    Raises:
        OrreryError: no trial was completed.
    """
    try:
        return study.best_trial
    except ValueError as error:
        raise OrreryError(
            f"study {study.study_name}: no trial was completed", remedy="run `orrery tune` again"
        ) from error


def settings(study: optuna.Study) -> list[dict[str, Any]]:
    """All trials as plain data, in order."""
    return [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "setting": dict(trial.params),
            "values": list(trial.values) if trial.values else None,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]
