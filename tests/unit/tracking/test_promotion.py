from __future__ import annotations

from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.params import PromotionParams
from orrery.tracking.promotion import Evaluate, history, promote, rollback
from orrery.tracking.registry import LoadedModel, aliases, artifacts, find_version, load
from orrery.tracking.rules import Scenes
from orrery.tracking.store import connect
from tests.tracking_helpers import RULES, SYSTEM, evaluate, in_processes, promote_here


def rated(rmse: dict[str, float]) -> Evaluate:
    """Evaluate versions by a table."""
    return lambda model: {
        name: {"rmse_m": rmse[model.version], "slope_deg": 5.0} for name in ("flat", "wall")
    }


@pytest.fixture
def champion(clone: Path) -> Path:
    """A clone where version 1 is champion and version 2 its challenger."""
    promote(SYSTEM, RULES, evaluate, version="1", root=clone)
    return clone


def test_the_first_version_needs_only_the_absolute_guards(clone: Path) -> None:
    def steep(model: LoadedModel) -> dict[str, dict[str, float]]:
        return {"wall": {"rmse_m": 1.0, "slope_deg": 30.0}}

    refused = promote(SYSTEM, RULES, steep, root=clone)
    assert not refused.promoted
    assert refused.reasons == ["slope_deg is 30, above 20 (rough terrain misleads)"]
    with pytest.raises(OrreryError, match="no champion of lunar-dtm; promote one"):
        load(SYSTEM, root=clone)
    assert promote(SYSTEM, RULES, evaluate, root=clone).promoted
    assert load(SYSTEM, root=clone).version == "2"
    assert aliases(connect(clone), SYSTEM) == {"champion": "2"}


def test_a_better_challenger_becomes_champion(champion: Path) -> None:
    verdict = promote(SYSTEM, RULES, evaluate, root=champion)
    assert verdict.message() == "lunar-dtm version 2 is champion, over version 1"
    assert verdict.comparisons["rmse_m"]["improvement"] == pytest.approx(
        2 / 11
    )  # means 11 and 9 over three scenes
    assert verdict.scenes["champion"]["scene-2"]["rmse_m"] == 12.0
    assert aliases(connect(champion), SYSTEM) == {"champion": "2", "previous": "1"}
    assert (
        find_version(connect(champion), SYSTEM, "2").tags["promotion.verdict"].startswith('{"champion": "1"')
    )


def test_a_worse_challenger_is_refused_with_reasons(champion: Path) -> None:
    worse = rated({"1": 10.0, "2": 12.0})
    verdict = promote(SYSTEM, RULES, worse, root=champion)
    assert not verdict.promoted
    assert verdict.message() == (
        "lunar-dtm version 2 is refused: rmse_m improves by -20.0% (interval -20.0% to -20.0%), at least 2.0% is asked"
    )
    assert aliases(connect(champion), SYSTEM) == {"champion": "1", "challenger": "2"}
    assert load(SYSTEM, root=champion).version == "1"
    promote(SYSTEM, RULES, worse, root=champion)
    assert [event.kind for event in history(SYSTEM, root=champion)] == [
        "promoted",
        "refused",
    ]  # not told twice


def test_a_champion_moved_from_elsewhere_meanwhile_is_not_overwritten(champion: Path) -> None:
    def moved(model: LoadedModel) -> Scenes:
        connect(champion).set_registered_model_alias(SYSTEM, "champion", "2")
        return evaluate(model)

    with pytest.raises(OrreryError, match="became version 2 while"):
        promote(SYSTEM, RULES, moved, root=champion)
    assert [event.kind for event in history(SYSTEM, root=champion)] == ["promoted"]


def test_a_dry_run_decides_and_changes_nothing(champion: Path) -> None:
    before = (champion / "mlruns/mlflow.db").read_bytes()
    assert promote(SYSTEM, RULES, evaluate, dry_run=True, root=champion).promoted
    assert (champion / "mlruns/mlflow.db").read_bytes() == before
    assert load(SYSTEM, root=champion).version == "1"


def test_a_dry_run_of_the_champion_tells_what_made_it_so(champion: Path) -> None:
    made = promote(SYSTEM, RULES, evaluate, root=champion)
    assert promote(SYSTEM, RULES, evaluate, version=made.version, dry_run=True, root=champion) == made


def test_rollback_restores_and_is_recorded(champion: Path) -> None:
    promote(SYSTEM, RULES, evaluate, root=champion)
    assert (
        rollback(SYSTEM, root=champion)
        .message()
        .endswith("version 1 rolled back (champion before: version 2)")
    )
    assert load(SYSTEM, root=champion).version == "1"
    assert aliases(connect(champion), SYSTEM) == {"champion": "1", "previous": "2"}
    assert [(e.kind, e.version, e.against) for e in history(SYSTEM, root=champion)] == [
        ("promoted", "1", None),
        ("promoted", "2", "1"),
        ("rolled back", "1", "2"),
    ]
    with pytest.raises(OrreryError, match="no challenger of lunar-dtm; register one"):
        promote(SYSTEM, RULES, evaluate, root=champion)


def test_rollback_without_a_previous_champion(champion: Path) -> None:
    with pytest.raises(OrreryError, match="no previous champion"):
        rollback(SYSTEM, root=champion)


def test_promoting_the_champion_again_repeats_its_verdict(champion: Path) -> None:
    first = promote(SYSTEM, RULES, evaluate, root=champion)

    def never(model: LoadedModel) -> dict[str, dict[str, float]]:
        raise AssertionError("evaluated again")

    assert promote(SYSTEM, RULES, never, root=champion).to_dict() == first.to_dict()
    assert promote(SYSTEM, RULES, never, version="2", root=champion).to_dict() == first.to_dict()
    assert len(history(SYSTEM, root=champion)) == 2


def test_evidence_that_was_changed_is_refused(champion: Path) -> None:
    version = find_version(connect(champion), SYSTEM, "challenger")
    write_json(artifacts(version) / "evidence/metrics.json", {"scenes": {"better": {}}})
    verdict = promote(SYSTEM, RULES, evaluate, root=champion)
    assert verdict.reasons == ["evidence metrics.json is not what was registered"]


@pytest.mark.faults
def test_a_champion_that_is_damaged_is_named_with_the_way_out(champion: Path) -> None:
    (artifacts(find_version(connect(champion), SYSTEM, "champion")) / "recipe.json").unlink()
    with pytest.raises(OrreryError, match=r"champion, version 1, cannot be judged .*--rollback"):
        promote(SYSTEM, RULES, evaluate, root=champion)
    assert aliases(connect(champion), SYSTEM) == {"champion": "1", "challenger": "2"}


def test_evidence_that_the_rules_ask_for(champion: Path) -> None:
    rules = PromotionParams(metric="rmse_m", evidence=["*.png", "tables.json"])
    assert promote(SYSTEM, rules, evaluate, root=champion).reasons == ["evidence tables.json is missing"]


def test_promotions_at_once_wait_for_each_other(champion: Path) -> None:
    assert in_processes(promote_here, [(champion,)] * 2) == [0, 0]
    assert aliases(connect(champion), SYSTEM) == {"champion": "2", "previous": "1"}
    assert [event.kind for event in history(SYSTEM, root=champion)] == ["promoted", "promoted"]


def test_a_champion_named_by_hand_has_no_verdict(clone: Path) -> None:
    connect(clone).set_registered_model_alias(SYSTEM, "champion", "1")
    with pytest.raises(OrreryError, match="champion already, but no verdict"):
        promote(SYSTEM, RULES, evaluate, version="1", root=clone)


@pytest.mark.faults
def test_fifty_promotions_at_once_leave_one_champion_and_one_history(champion: Path) -> None:
    assert in_processes(promote_here, [(champion,)] * 50) == [0] * 50
    assert aliases(connect(champion), SYSTEM) == {"champion": "2", "previous": "1"}
    assert [(event.kind, event.version) for event in history(SYSTEM, root=champion)] == [
        ("promoted", "1"),
        ("promoted", "2"),
    ]


def test_the_verdict_as_a_summary(champion: Path) -> None:
    refused = promote(SYSTEM, RULES, rated({"1": 10.0, "2": 12.0}), root=champion).markdown()
    assert "- `too little` rmse_m improves by -20.0%" in refused
    assert "| rmse_m | 12 | 10 | -20.0% | -20.0% to -20.0% |" in refused
