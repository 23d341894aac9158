"""The confirmation: an interval over seeds and scenes, and the overlay that a gain writes."""

import pytest

from orrery.params import load_params
from orrery.tuning.confirm import compare, confirm, unchanged
from orrery.tuning.params import TuneParams
from orrery.tuning.report import write_tuned

OPTIONS = TuneParams.model_validate(
    {
        "objectives": [{"metric": "rmse_m"}],
        "space": {"losses.a": {"low": 0.1, "high": 10.0}},
        "trials": 4,
        "seeds": 3,
        "min_relative_improvement": 0.01,
    }
)
GREATER = OPTIONS.model_copy(
    update={"objectives": [OPTIONS.objectives[0].model_copy(update={"greater_is_better": True})]}
)


def scores(*seeds):
    return [{f"scene-{number}": {"rmse_m": value} for number, value in enumerate(seed)} for seed in seeds]


OLD = scores((1.0, 2.0), (1.1, 2.1), (0.9, 1.9))


def test_a_gain_on_every_seed_and_scene_is_confirmed():
    found = compare(scores((0.9, 1.8), (1.0, 1.9), (0.8, 1.7)), OLD, OPTIONS)
    assert found.confirmed
    assert found.improvement == pytest.approx(1 - 1.35 / 1.5)
    assert 0 < found.interval[0] < found.improvement < found.interval[1]
    assert "confirmed" in found.reason


def test_a_gain_that_one_seed_alone_shows_is_chance():
    found = compare(scores((0.2, 1.0), (1.15, 2.2), (0.95, 2.0)), OLD, OPTIONS)
    assert found.improvement > 0.1
    assert not found.confirmed
    assert found.reason.endswith("are asked")


def test_a_gain_smaller_than_what_is_asked_does_not_count():
    found = compare(scores((0.995, 1.99), (1.095, 2.09), (0.895, 1.89)), OLD, OPTIONS)
    assert found.interval[0] > 0
    assert not found.confirmed


def test_the_direction_is_the_metrics():
    better = scores((1.2, 2.4), (1.3, 2.5), (1.1, 2.3))
    assert compare(better, OLD, GREATER).confirmed
    assert not compare(better, OLD, OPTIONS).confirmed


def test_both_settings_are_trained_once_a_seed_and_never_with_the_trials_own():
    asked = []

    def train(setting, seed):
        asked.append((setting["losses.a"], seed))
        return scores((setting["losses.a"], 2 * setting["losses.a"]))[0]

    assert confirm(OPTIONS, {"losses.a": 0.5}, {"losses.a": 1.0}, train).confirmed
    assert asked == [(value, seed) for seed in (1, 2, 3) for value in (0.5, 1.0)]


def test_the_present_setting_may_win():
    told = unchanged(OPTIONS, 1.0, 8)
    assert not told.confirmed
    assert "best of 8 trials" in told.reason


def test_a_gain_is_laid_down_by_scale_and_read_back(tmp_path, repository):
    for name in ("params.yaml", "params.full.yaml"):
        (tmp_path / name).write_text((repository / name).read_text())
    found = compare(scores((0.9, 1.8), (1.0, 1.9), (0.8, 1.7)), OLD, OPTIONS)
    setting = {"losses.gradient": 3.25, "optimiser.learning_rate": 1.5e-3}
    write_tuned("lunar-dtm", "full", "orrery-dtm", {"losses.gradient": 9.0}, found, tmp_path)
    path = write_tuned("lunar-dtm", "demo", "orrery-dtm", setting, found, tmp_path)
    assert found.reason in path.read_text()
    variant = load_params(tmp_path / "params.yaml").systems["lunar-dtm"]["variants"]["orrery-dtm"]
    assert (variant["losses"]["gradient"], variant["optimiser"]["learning_rate"]) == (3.25, 1.5e-3)
    (tmp_path / "params.yaml").write_text(
        (tmp_path / "params.yaml").read_text().replace("scale: demo", "scale: full")
    )
    variant = load_params(tmp_path / "params.yaml").systems["lunar-dtm"]["variants"]["orrery-dtm"]
    assert variant["losses"]["gradient"] == 9.0
