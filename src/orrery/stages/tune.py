"""tune: search a system's settings on its validation scenes; change tuned/<system>.yaml only for a gain that is confirmed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import click
import optuna

from orrery.errors import OrreryError
from orrery.files import replacing, sha256
from orrery.params import Params, load_params
from orrery.systems.base import System, SystemSection, Workspace, get_section, get_system
from orrery.systems.scores import Scores
from orrery.tracking.root import project_root
from orrery.tracking.studies import log_report, study_run
from orrery.tuning.confirm import Confirmation, confirm, unchanged
from orrery.tuning.report import write_report, write_tuned
from orrery.tuning.setting import Setting, present, tune_params, variant_of
from orrery.tuning.study import ENDED, Pruning, best, open_storage, open_study, work
from orrery.tuning.training import folder, means, scored


def run(
    system: str, trials: int | None, workers: int, storage: str | None, confirmed: int | None, *, join: bool
) -> None:
    """Search, confirm, report.

    Args:
        system: to tune.
        trials: in all [default: params.yaml].
        workers: processes of this host.
        storage: URL of a database that workers of several hosts share [default: a journal under build/].
        confirmed: number of a trial to confirm [default: the best, where there is one objective].
        join: only try settings for a study that another process ends.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tuning = Tuning(system, storage)
    others = [_other(system, trials, storage) for _ in range(workers - 1)]
    try:
        tuning.search(trials or tuning.options.trials)
    finally:
        failed = [code for code in (other.wait() for other in others) if code]
    if failed:
        raise OrreryError(f"{len(failed)} of {workers} workers failed", remedy="their errors are above; run it again to go on")  # fmt: skip
    if not join:
        tuning.end(confirmed)


def _other(system: str, trials: int | None, storage: str | None) -> subprocess.Popen[bytes]:
    """A further worker."""
    options = [*(["--trials", str(trials)] if trials else []), *(["--storage", storage] if storage else [])]
    return subprocess.Popen([sys.executable, "-m", "orrery", "tune", system, "--join", *options])


class Tuning:
    """A system's study, under the present parameters and patches."""

    def __init__(self, system: str, storage: str | None) -> None:
        self.params: Params = load_params()
        self.owner: System[Any] = get_system(system)
        self.section: SystemSection = get_section(self.params, system)
        self.options, self.work, self.root = tune_params(self.section), Workspace(system), project_root()
        self.now = present(self.section)
        if not self.work.patches.exists():
            raise OrreryError(
                "has no patches", file=self.work.patches, remedy=f"run `dvc repro patch@{system}`"
            )
        self.study = open_study(
            open_storage(storage, folder(self.work)), self._name(), self.options, self.now
        )

    def _name(self) -> str:
        """A study belongs to what its trials share: patches, variant and what is asked; another is another study."""
        variant = self.section.variants[variant_of(self.section)].model_dump(mode="json")
        asked = self.options.model_dump(exclude={"trials", "seeds", "confidence", "min_relative_improvement"})
        told = [
            variant,
            asked,
            self.params.seed,
            self.params.scale,
            sha256(self.work.patches / "index.parquet"),
        ]
        return (
            f"{self.work.system}-{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]}"
        )

    def search(self, trials: int) -> None:
        """Try settings until there are `trials`."""
        parent = study_run(self.study, self.work.system, self.root)
        work(
            self.study, self.options, lambda trial, setting: self._trial(trial, setting, parent, trials),
            self.params.seed, self.root, trials,
        )  # fmt: skip

    def _trial(self, trial: optuna.Trial, setting: Setting, parent: str, trials: int) -> list[float]:
        click.echo(f"trial {trial.number} of {trials}: {_told(setting)}")
        tags = {"mlflow.parentRunId": parent, "study": self.study.study_name, "trial": str(trial.number)}
        prunable = len(self.options.objectives) == 1 and dict(setting) != self.now
        callbacks = [Pruning(trial)] if prunable else []
        scores = scored(
            self.owner, self.params, self.section, setting, 0, callbacks, tags, self.options.steps
        )
        values = means(scores, self.options)
        named = [
            f"{each.metric} {value:.5g}" for each, value in zip(self.options.objectives, values, strict=True)
        ]
        click.echo(f"trial {trial.number}: {', '.join(named)}")
        return values

    def end(self, chosen: int | None) -> None:
        """Confirm the winner, write the report, and tuned/ where it is confirmed."""
        variant, told = variant_of(self.section), self._confirmation(chosen)
        out = self.work.reports / "tuning"
        with replacing(out) as temporary:
            temporary.mkdir()
            write_report(self.study, self.section, self.options, told, temporary)
        log_report(self.study, self.root, out)
        click.echo(told.reason if told else f"{len(self.study.best_trials)} settings make the front; confirm one by --confirm TRIAL")  # fmt: skip
        if told and told.confirmed:
            setting = self._setting(chosen)
            path = write_tuned(self.work.system, self.params.scale, variant, setting, told, self.root)
            click.echo(f"{path.relative_to(self.root)} has it now; `dvc repro` trains {variant} anew")

    def _setting(self, chosen: int | None) -> Setting:
        if chosen is None:
            return best(self.study).params
        known = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        if chosen not in known or not known[chosen].params:
            raise OrreryError(
                f"--confirm {chosen}: no such trial", remedy=f"choose one of 0 to {len(known) - 1}"
            )
        return known[chosen].params

    def _confirmation(self, chosen: int | None) -> Confirmation | None:
        if len(self.options.objectives) > 1 and chosen is None:
            return None
        setting = self._setting(chosen)
        if dict(setting) == self.now:
            tried = self.study.get_trials(deepcopy=False, states=ENDED)
            return unchanged(self.options, best(self.study).values[0], len(tried))
        return confirm(self.options, setting, self.now, self._train)

    def _train(self, setting: Setting, seed: int) -> Scores:
        tags = {"study": self.study.study_name, "confirmation": f"seed {seed}"}
        click.echo(f"confirming, seed {seed}: {_told(setting)}")
        return scored(self.owner, self.params, self.section, setting, seed, (), tags)


def _told(setting: Setting) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in setting.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
