"""Kill a promotion, a rollback, a registration before each of its writes; run it again; nothing may be different."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking._tracking_service import utils

from orrery.tracking import promotion, registry
from orrery.tracking.promotion import history, promote, rollback
from orrery.tracking.registry import aliases, load
from orrery.tracking.store import connect
from tests.tracking_fixtures import clone, template
from tests.tracking_helpers import (
    RULES,
    SYSTEM,
    copy_clone,
    evaluate,
    in_processes,
    promote_and_die,
    quick_export,
    quick_load,
    register_and_die,
    register_third,
    roll_back_and_die,
)

__all__ = ["clone", "template"]
pytestmark = pytest.mark.faults


def state(root: Path) -> dict[str, Any]:
    """Everything that a promotion leaves, without times."""
    utils._artifact_repos_cache.clear()
    client = connect(root)
    events = [(e.number, e.kind, e.version, e.against, e.aliases, e.done) for e in history(SYSTEM, root=root)]
    versions = client.search_model_versions(f"name = '{SYSTEM}'")
    verdicts = {v.version: v.tags.get("promotion.verdict") for v in versions}
    files = {
        path.name: json.loads(path.read_text())
        for path in (root / "mlruns/artifacts").rglob("promotion/*.json")
    }
    return {"events": events, "aliases": aliases(client, SYSTEM), "verdicts": verdicts, "files": files}


def copies(clone: Path, count: int) -> list[Path]:
    return [copy_clone(clone, clone.parent / f"copy-{number}") for number in range(count)]


def test_promotion_killed_before_each_write(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven writes: verdict file, verdict tag, event, three aliases, event done; the eighth copy is left alone."""
    monkeypatch.setattr(promotion, "load", quick_load)
    promote(SYSTEM, RULES, evaluate, version="1", root=clone)
    roots = copies(clone, 8)
    codes = in_processes(promote_and_die, [(root, count) for count, root in enumerate(roots)])
    assert codes == [-9] * 7 + [0]
    for root in roots[:7]:
        assert aliases(connect(root), SYSTEM)["champion"] in ("1", "2")  # whoever reads in between has one
        promote(SYSTEM, RULES, evaluate, root=root)
    wanted = state(roots[7])
    assert wanted["aliases"] == {"champion": "2", "previous": "1"}
    for count, root in enumerate(roots[:7]):
        assert state(root) == wanted, f"killed before write {count}"


def test_rollback_killed_before_each_write(clone: Path) -> None:
    promote(SYSTEM, RULES, evaluate, version="1", root=clone)
    promote(SYSTEM, RULES, evaluate, root=clone)
    roots = copies(clone, 5)
    codes = in_processes(roll_back_and_die, [(root, count) for count, root in enumerate(roots)])
    assert codes == [-9] * 4 + [0]
    for root in roots[:4]:
        rollback(SYSTEM, root=root)
    wanted = state(roots[4])
    assert wanted["aliases"] == {"champion": "1", "previous": "2"}
    for count, root in enumerate(roots[:4]):
        assert state(root) == wanted, f"killed before write {count}"


def test_registration_killed_before_each_write(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "export", quick_export)
    run_id = load(SYSTEM, "1", root=clone).run_id
    roots = copies(clone, 7)
    codes = in_processes(register_and_die, [(root, run_id, count) for count, root in enumerate(roots)])
    assert codes == [-9] * 6 + [0]
    for root in roots[:6]:
        utils._artifact_repos_cache.clear()
        os.chdir(root)
        assert register_third(root, run_id) == "3"
        assert aliases(connect(root), SYSTEM) == {"challenger": "3"}
        models = list((root / "mlruns/artifacts/lunar-dtm/models").rglob("recipe.json"))
        assert len(models) == 3, "files of the killed registration are left"
