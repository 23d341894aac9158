from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from orrery.errors import OrreryError
from orrery.tracking.promotion import promote
from orrery.tracking.registry import find_version
from orrery.tracking.report import publish, run_facts, version_facts
from orrery.tracking.store import connect
from tests.tracking_helpers import RULES, SYSTEM, evaluate


def test_the_champion_or_else_the_challenger(clone: Path) -> None:
    facts = version_facts(SYSTEM, root=clone)
    assert (facts.alias, facts.version) == ("challenger", "2")
    assert facts.card == "# lunar-dtm: ours\n"
    assert promote(SYSTEM, RULES, evaluate, version="1", root=clone).promoted
    facts = version_facts(SYSTEM, root=clone)
    assert (facts.alias, facts.version, facts.tags["variant"]) == ("champion", "1", "ours")
    with pytest.raises(OrreryError, match="no challenger of mars-bands"):
        version_facts("mars-bands", root=clone)


def test_a_page_is_logged_with_the_run_and_linked_from_the_version(clone: Path) -> None:
    facts, page = version_facts(SYSTEM, root=clone), clone / "report.html"
    for text in ("first", "second"):
        page.write_text(text)
        address = publish(facts, page, root=clone)
    assert Path(mlflow.artifacts.download_artifacts(address)).read_text() == "second"
    version = find_version(connect(clone), SYSTEM, "2")
    assert version.tags["report"] == address == f"runs:/{facts.run_id}/report/report.html"
    experiment = connect(clone).get_run(facts.run_id).info.experiment_id
    link = f"#/experiments/{experiment}/runs/{facts.run_id}/artifacts/report/report.html"
    assert version.description == f"[Report]({link})\n\n# lunar-dtm: ours\n"


def test_runs_that_are_gone_are_left_out(clone: Path) -> None:
    facts = version_facts(SYSTEM, root=clone)
    found = run_facts([facts.run_id, "0" * 32], root=clone)
    assert list(found) == [facts.run_id]
    assert found[facts.run_id]["seed"] == "7"
    assert len(found[facts.run_id]["git.commit"]) == 40
