"""Studies: resumed without repeating a draw, shared by workers, and never left with a dead trial."""

import json
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from orrery.errors import OrreryError
from orrery.tuning.params import TuneParams
from orrery.tuning.study import WORKER, Pruning, best, open_storage, open_study, settings, work

NOW = {"losses.a": 1.0}
OPTIONS = TuneParams.model_validate(
    {
        "objectives": [{"metric": "rmse_m"}],
        "space": {"losses.a": {"low": 0.1, "high": 10.0, "log": True}},
        "trials": 6,
    }
)
TWO = OPTIONS.model_copy(update={"objectives": [*OPTIONS.objectives, *OPTIONS.objectives]})
WORKER_PROCESS = """
import sys, time
from pathlib import Path
from tests.unit.tuning.test_study import NOW, OPTIONS
from orrery.tuning.study import open_storage, open_study, work
study = open_study(open_storage(None, Path(sys.argv[1])), "s", OPTIONS, NOW)
def objective(trial, setting):
    time.sleep(float(sys.argv[2]))
    return [abs(setting["losses.a"] - 3)]
print("ready", flush=True)
work(study, OPTIONS, objective, 7, Path(sys.argv[1]), 6)
"""


def opened(folder, options=OPTIONS):
    return open_study(open_storage(None, folder), "s", options, NOW)


def quadratic(trial, setting):
    return [abs(setting["losses.a"] - 3)]


def drawn(study):
    return [trial["setting"]["losses.a"] for trial in settings(study) if trial["state"] == "complete"]


def test_the_present_setting_is_tried_first_and_the_best_is_found(tmp_path):
    study = opened(tmp_path)
    work(study, OPTIONS, quadratic, 7, tmp_path, 6)
    assert drawn(study)[0] == 1.0
    assert len(drawn(study)) == 6
    assert best(study).value == min(abs(value - 3) for value in drawn(study))


def test_a_resumed_study_draws_what_an_undisturbed_one_draws_and_repeats_nothing(tmp_path):
    whole = opened(tmp_path / "whole")
    work(whole, OPTIONS, quadratic, 7, tmp_path / "whole", 6)
    for trials in (2, 3, 6, 6):
        work(opened(tmp_path / "parts"), OPTIONS, quadratic, 7, tmp_path / "parts", trials)
    parts = opened(tmp_path / "parts")
    assert drawn(parts) == drawn(whole)
    assert len(set(drawn(parts))) == 6


def test_a_dead_workers_trial_is_tried_again(tmp_path):
    study = opened(tmp_path)
    lost = study.ask()
    lost.set_user_attr(WORKER, f"{__import__('socket').gethostname()}:1")
    lost.suggest_float("losses.a", 0.1, 10.0, log=True)
    work(study, OPTIONS, quadratic, 7, tmp_path, 3)
    states = [trial.state for trial in study.get_trials()]
    assert states.count(TrialState.FAIL) == 1
    assert TrialState.RUNNING not in states
    assert drawn(study)[0] == 1.0  # the lost one again


def test_two_workers_share_a_study(tmp_path, repository):
    command = [sys.executable, "-c", WORKER_PROCESS, str(tmp_path), "0.3"]
    both = [subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.wait(90) for process in both] == [0, 0]
    study = opened(tmp_path)
    assert len(drawn(study)) == 6
    assert len(set(drawn(study))) == 6
    assert len({trial.user_attrs[WORKER] for trial in study.get_trials()}) == 2


def test_a_killed_worker_loses_the_trial_under_way_alone(tmp_path, repository):
    command = [sys.executable, "-c", WORKER_PROCESS, str(tmp_path), "600"]
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE)
    process.stdout.readline()
    while not any(trial.user_attrs for trial in opened(tmp_path).get_trials()):
        assert process.poll() is None
    process.kill()
    process.wait()
    study = opened(tmp_path)
    work(study, OPTIONS, quadratic, 7, tmp_path, 6)
    assert len(drawn(study)) == 6
    assert len(set(drawn(study))) == 6


def test_an_error_ends_the_trial_and_the_search_and_the_present_setting_is_tried_again(tmp_path):
    def broken(trial, setting):
        raise OrreryError("has no metric", remedy="none")

    with pytest.raises(OrreryError, match="has no metric"):
        work(opened(tmp_path), OPTIONS, broken, 7, tmp_path, 6)
    study = opened(tmp_path)
    work(study, OPTIONS, quadratic, 7, tmp_path, 2)
    assert drawn(study)[0] == 1.0


def test_a_trial_that_lags_behind_is_pruned(tmp_path):
    study = opened(tmp_path)

    class Trainer:
        sanity_checking = False
        global_step = 10

    class Task:
        monitor = "val/rmse"

    def objective(trial, setting):
        trainer = Trainer()
        trainer.callback_metrics = {"val/rmse": 100.0 if trial.number == 5 else 1.0}
        Pruning(trial).on_validation_end(trainer, Task())
        return quadratic(trial, setting)

    work(study, OPTIONS, objective, 7, tmp_path, 6)
    assert [trial["state"] for trial in settings(study)] == ["complete"] * 5 + ["pruned"]


def test_several_objectives_have_a_front(tmp_path):
    study = opened(tmp_path, TWO)
    work(study, TWO, lambda trial, setting: [setting["losses.a"], 1 / setting["losses.a"]], 7, tmp_path, 6)
    assert len(study.best_trials) == 6  # each is better in one and worse in the other


def test_a_damaged_journal_is_named(tmp_path):
    (tmp_path / "study.jsonl").write_text('{"op_code": "nothing"}\nnot json\n')
    with pytest.raises(OrreryError, match=r"study.jsonl.*delete it"):
        opened(tmp_path)


def test_a_half_written_line_costs_nothing_but_itself(tmp_path):
    work(opened(tmp_path), OPTIONS, quadratic, 7, tmp_path, 2)
    with (tmp_path / "study.jsonl").open("ab") as journal:
        journal.write(b'{"op_code": 6, "work')
    work(opened(tmp_path), OPTIONS, quadratic, 7, tmp_path, 4)
    assert len(drawn(opened(tmp_path))) == 4


def test_a_pickle_is_no_study(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    (tmp_path / "study.jsonl").write_bytes(pickle.dumps(Bomb()) + b"\n")
    with pytest.raises(OrreryError, match=r"study\.jsonl"):
        opened(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_database_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OrreryError, match="--storage cannot be opened"):
        open_storage("sqlite:////nowhere/at/all/study.db", tmp_path)


def test_a_database_serves_too(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(open_storage(f"sqlite:///{tmp_path}/study.db", tmp_path), "s", OPTIONS, NOW)
    work(study, OPTIONS, quadratic, 7, tmp_path, 3)
    assert len(drawn(study)) == 3
    assert json.dumps(settings(study))
