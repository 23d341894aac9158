from __future__ import annotations

import math

import pytest

from orrery.params import GuardParams, PromotionParams
from orrery.tracking import rules as module


def decide(*arguments, **options):
    """Comparisons, and the texts of the refusals."""
    found, refusals = module.decide(*arguments, **options)
    return found, [refusal.text for refusal in refusals]


RULES = PromotionParams(metric="rmse_m", min_relative_improvement=0.02)
OLD = {"flat": {"rmse_m": 4.0}, "mountain": {"rmse_m": 10.0}, "wall": {"rmse_m": 16.0}}


def scaled(factor: float) -> dict[str, dict[str, float]]:
    return {scene: {"rmse_m": factor * values["rmse_m"]} for scene, values in OLD.items()}


def test_improvement_is_of_the_means_and_its_interval_is_exact_where_all_scenes_gain_alike() -> None:
    (found,), reasons = decide(RULES, scaled(0.75), OLD)
    assert reasons == []
    assert (found.challenger, found.champion) == (7.5, 10.0)
    assert found.improvement == pytest.approx(0.25)
    assert found.interval == pytest.approx((0.25, 0.25))


def test_too_small_a_gain_and_a_loss_are_refused() -> None:
    assert decide(RULES, scaled(0.99), OLD)[1] == [
        "rmse_m improves by 1.0% (interval 1.0% to 1.0%), at least 2.0% is asked"
    ]
    assert "improves by -10.0%" in decide(RULES, scaled(1.1), OLD)[1][0]


def test_a_gain_on_one_scene_only_may_be_chance() -> None:
    """Two scenes of three are worse: the mean gains, but the interval reaches below zero."""
    new = {"flat": {"rmse_m": 4.4}, "mountain": {"rmse_m": 11.0}, "wall": {"rmse_m": 8.0}}
    (found,), reasons = decide(RULES, new, OLD)
    assert found.improvement == pytest.approx((30 - 23.4) / 30)
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(-0.1)  # only the two that lose are drawn
    assert len(reasons) == 1
    assert "may be chance" in reasons[0]


def test_greater_is_better() -> None:
    rules = PromotionParams(metric="ncc", greater_is_better=True)
    old = {"a": {"ncc": 0.5}, "b": {"ncc": 0.6}}
    better = {"a": {"ncc": 0.6}, "b": {"ncc": 0.7}}
    assert decide(rules, better, old)[1] == []
    assert decide(rules, old, better)[1] != []


def test_guards() -> None:
    guard = GuardParams(max_relative_worsening=0.05, maximum=9.0, reason="slopes are what rovers need")
    rules = PromotionParams(metric="rmse_m", guards={"slope_deg": guard})
    old = {"a": {"rmse_m": 2.0, "slope_deg": 4.0}}
    assert decide(rules, {"a": {"rmse_m": 1.0, "slope_deg": 4.19}}, old)[1] == []
    assert decide(rules, {"a": {"rmse_m": 1.0, "slope_deg": 4.4}}, old)[1] == [
        "slope_deg worsens by 10.0%, at most 5.0% is allowed (slopes are what rovers need)"
    ]
    assert decide(rules, {"a": {"rmse_m": 1.0, "slope_deg": 9.5}}, None)[1] == [
        "slope_deg is 9.5, above 9 (slopes are what rovers need)"
    ]
    low = PromotionParams(metric="rmse_m", guards={"cover": GuardParams(minimum=0.6, reason="honest sigma")})
    assert decide(low, {"a": {"rmse_m": 1.0, "cover": 0.5}}, None)[1] == [
        "cover is 0.5, below 0.6 (honest sigma)"
    ]


def test_what_cannot_be_compared_is_refused() -> None:
    assert decide(RULES, {"flat": {"rmse_m": 1.0}}, OLD)[1] == [
        "challenger and champion were evaluated on different scenes"
    ]
    assert decide(RULES, {}, None)[1] == ["no scene was evaluated"]
    broken = scaled(0.5) | {"wall": {"rmse_m": math.nan}, "flat": {}}
    assert decide(RULES, broken, OLD)[1] == [
        "rmse_m of the challenger is missing or not finite on flat, wall"
    ]
    assert "of the champion" in decide(RULES, OLD, broken)[1][0]


def test_a_perfect_champion_is_compared_in_absolute_terms() -> None:
    zero = {"a": {"rmse_m": 0.0}}
    (found,), reasons = decide(RULES, {"a": {"rmse_m": 0.5}}, zero)
    assert found.improvement == -0.5
    assert reasons


def test_equal_input_gives_equal_decisions() -> None:
    assert decide(RULES, scaled(0.9), OLD) == decide(RULES, scaled(0.9), OLD)


def test_a_group_that_pays_for_the_mean_is_found() -> None:
    guard = GuardParams(max_relative_worsening=0.05, groups=["flat", "wall*"], reason="every terrain counts")
    rules = PromotionParams(metric="rmse_m", guards={"rmse_m": guard})
    new = {"flat": {"rmse_m": 4.8}, "mountain": {"rmse_m": 5.0}, "wall": {"rmse_m": 8.0}}
    _, refusals = module.decide(rules, new, OLD)
    assert [refusal.code for refusal in refusals if refusal.code != "chance"] == ["worse in a group"]
    assert (
        "rmse_m on flat worsens by 20.0%, at most 5.0% is allowed (every terrain counts)" in refusals[-1].text
    )
    none = PromotionParams(
        metric="rmse_m", guards={"rmse_m": guard.model_copy(update={"groups": ["crater-*"]})}
    )
    assert module.decide(none, scaled(0.5), OLD)[1][0].text == "no scene is of the group crater-*"


def test_a_gain_within_the_luck_of_seeds_is_chance() -> None:
    seeds = ([8.0, 9.5, 9.8], [10.0, 9.0, 11.0])  # means 9.1 and 10
    _, refusals = module.decide(RULES, scaled(0.91), OLD, seeds)
    assert [refusal.code for refusal in refusals] == ["chance"]
    assert "seeds alone make" in refusals[0].text
    steady = ([9.1, 9.1, 9.11], [10.0, 10.0, 10.01])
    assert module.decide(RULES, scaled(0.91), OLD, steady)[1] == []
    assert (
        module.decide(RULES, scaled(0.91), OLD, ([9.1], [10.0]))[1] == []
    )  # one seed says nothing of its luck


def test_the_interval_of_seeds_is_students() -> None:
    rules = PromotionParams(metric="rmse_m", confidence=0.9)
    half = module.seed_half_width(rules, [1.0, 2.0, 3.0], [10.0, 10.0, 10.0])
    assert half == pytest.approx(2.919986 * (1 / 3**0.5) / 10.0, rel=1e-5)  # t of 2 degrees, two-sided 90 %


def test_every_ground_has_its_own_code() -> None:
    guard = GuardParams(max_relative_worsening=0.0, maximum=9.0, reason="slopes")
    rules = PromotionParams(metric="rmse_m", min_relative_improvement=0.02, guards={"slope_deg": guard})
    old = {"a": {"rmse_m": 2.0, "slope_deg": 4.0}}

    def codes(new: dict[str, dict[str, float]]) -> list[str]:
        return [refusal.code for refusal in module.decide(rules, new, old)[1]]

    assert codes({}) == ["no scene"]
    assert codes({"b": {"rmse_m": 1.0, "slope_deg": 4.0}}) == ["other scenes"]
    assert codes({"a": {"rmse_m": 1.0}}) == ["unmeasured"]
    assert codes({"a": {"rmse_m": 1.99, "slope_deg": 4.0}}) == ["too little"]
    assert codes({"a": {"rmse_m": 1.0, "slope_deg": 9.5}}) == ["bound", "worse"]
