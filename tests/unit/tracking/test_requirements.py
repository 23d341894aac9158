"""What a version must bring besides better figures, and that each lack has its own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orrery.files import write_json
from orrery.params import PromotionParams
from orrery.tracking.promotion import promote
from orrery.tracking.registry import artifacts, find_version, register
from orrery.tracking.requirements import dearer, lacking, network_bytes, outdated, seed_means
from orrery.tracking.store import connect
from tests.tracking_helpers import RULES, SYSTEM, TinyUNet, evaluate, example, git, write_evidence

DAY_S = 86400.0


def codes(refusals: list) -> list[str]:
    return [refusal.code for refusal in refusals]


@pytest.fixture
def challenger(clone: Path):
    return find_version(connect(clone), SYSTEM, "2")


def with_evidence(clone: Path, name: str, content: object) -> str:
    """A further version whose evidence has another file."""
    evidence = write_evidence(clone / "mlruns" / "more")
    write_json(evidence / name, content)
    run_id = find_version(connect(clone), SYSTEM, "2").run_id
    return register(SYSTEM, TinyUNet(3), example(), {"seed": 3}, evidence, run_id, root=clone)


def test_a_version_as_registered_lacks_nothing(challenger) -> None:
    assert lacking(challenger, RULES) == []


def test_an_expectation_that_the_gate_did_not_judge_or_pass_is_asked_for(clone: Path) -> None:
    judged = {"passed": True, "expectations": {"residual": {"passed": True}, "shift": {"passed": False}}}
    version = find_version(connect(clone), SYSTEM, with_evidence(clone, "gate.json", judged))
    asked = PromotionParams(metric="rmse_m", gates=["residual", "shift", "overlap"])
    refusals = lacking(version, asked)
    assert codes(refusals) == ["gate", "gate"]
    assert "shift is passed" in refusals[0].text
    assert "overlap is passed" in refusals[1].text


def test_a_gate_that_failed(clone: Path) -> None:
    version = find_version(connect(clone), SYSTEM, with_evidence(clone, "gate.json", {"passed": False}))
    assert codes(lacking(version, RULES)) == ["gate"]


def test_missing_and_changed_evidence_differ(challenger) -> None:
    asked = PromotionParams(metric="rmse_m", evidence=["tables.json"])
    assert codes(lacking(challenger, asked)) == ["evidence"]
    (artifacts(challenger) / "evidence/metrics.json").write_text("{}")
    assert codes(lacking(challenger, RULES)) == ["changed"]


def test_other_data_and_age(clone: Path, challenger) -> None:
    asked = PromotionParams(metric="rmse_m", same_data=True, max_age_days=30.0)
    registered_s = challenger.creation_timestamp / 1000
    assert outdated(challenger, asked, registered_s + 29 * DAY_S) == []
    assert codes(outdated(challenger, asked, registered_s + 31 * DAY_S)) == ["age"]
    (clone / "data.dvc").write_text("outs:\n- md5: ffffffffffffffffffffffffffffffff.dir\n  path: data\n")
    git(clone, "commit", "-qam", "other data")
    assert codes(outdated(challenger, asked, registered_s)) == ["data"]
    assert outdated(challenger, RULES, registered_s + 1e9) == []


def test_seeds_are_read_from_the_evaluation(clone: Path) -> None:
    def scenes(value: float) -> dict[str, object]:
        return {"a": {"set": "test", "rmse_m": value}, "b": {"set": "extra", "rmse_m": 99.0}}

    told = {"scenes": scenes(3.0), "replicas": [{"scenes": scenes(4.0)}, {"scenes": scenes(5.0)}]}
    version = find_version(connect(clone), SYSTEM, with_evidence(clone, "metrics.json", told))
    assert seed_means(version, RULES) == [3.0, 4.0, 5.0]
    assert seed_means(find_version(connect(clone), SYSTEM, "1"), RULES) == []


def test_time_and_size(challenger) -> None:
    asked = PromotionParams(metric="rmse_m", max_slowdown=2.0, max_growth=1.5)
    assert dearer(asked, (19.0, 10.0), (14, 10)) == []
    assert codes(dearer(asked, (21.0, 10.0), (16, 10))) == ["slow", "large"]
    assert dearer(RULES, (1000.0, 1.0), (1000, 1)) == []
    assert network_bytes(challenger) > 0


def test_the_verdict_tells_codes_beside_sentences(clone: Path) -> None:
    promote(SYSTEM, RULES, evaluate, version="1", root=clone)
    rules = RULES.model_copy(update={"evidence": ["tables.json"], "min_relative_improvement": 0.5})
    verdict = promote(SYSTEM, rules, evaluate, root=clone)
    assert verdict.codes == ["evidence", "too little"]
    assert len(verdict.codes) == len(verdict.reasons)
    assert json.loads(json.dumps(verdict.to_dict()))["codes"] == verdict.codes
