"""Killing the prediction of a pair at any moment and running it again gives the bytes of an undisturbed run."""

import pytest

from tests.faults.killing import digests, killed
from tests.unit.systems.kaguya_scenes import section
from tests.unit.systems.test_kaguya_predict import run, scene

__all__ = ["scene"]
pytestmark = pytest.mark.faults
PARAMS = section(predict={"block_rows": 64, "tile_px": 128})


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take most of the time of a small product."""
    monkeypatch.setattr("orrery.systems.kaguya_disparity.product.save", lambda figure, path: path.touch())


@pytest.mark.parametrize("step", ["rename", "write"])
def test_a_run_killed_again_and_again_ends_as_if_undisturbed(step, scene, tmp_path):
    run(scene, tmp_path / "calm", section=PARAMS)
    kills = 0
    while killed(step, 1 + kills, lambda: run(scene, tmp_path / "killed", section=PARAMS)):
        kills += 1
    assert kills >= 3
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")
