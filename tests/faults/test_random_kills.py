"""Every stage killed at random moments, again and again: afterwards all is as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orrery.seeds import stream
from tests.faults.small_clone import COMMANDS, finish, killed_after, make_clone, orphans, results, tracked

pytestmark = [pytest.mark.faults, pytest.mark.slow]
KILLS = 9  # of each stage
SPARED = ("gate", "tables")  # pages and pictures of what others found
LATEST = 0.6  # of its duration: what is continued ends sooner
SEED = int(os.environ.get("ORRERY_KILL_SEED", "1"))


def strike(stage: str, root: Path, moments: list[float]) -> int:
    """Kill a stage at each moment in turn, then let it end; how often it was killed. One that ended before is not begun again."""
    for number, moment in enumerate(moments):
        if not killed_after(stage, root, moment):
            return number
    finish(stage, root)
    return len(moments)


def test_sixty_kills_leave_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calm, struck = make_clone(tmp_path / "calm"), make_clone(tmp_path / "struck")
    seconds = {stage: finish(stage, calm) for stage in COMMANDS}
    rng, kills = stream(SEED, "kills"), {}
    for stage in COMMANDS:
        moments = rng.uniform(0, LATEST * seconds[stage], 0 if stage in SPARED else KILLS)
        kills[stage] = strike(stage, struck, moments.tolist())
    with capsys.disabled():
        print(f"\n{sum(kills.values())} kills: {kills}, of {sum(seconds.values()):.0f} s of work")
    assert sum(kills.values()) >= 60
    wanted, found = tracked(calm), tracked(struck)
    assert set(found["states"]) == {"FINISHED"}
    assert found == wanted
    assert results(struck) == results(calm)
    assert orphans(struck) == orphans(calm) == []
