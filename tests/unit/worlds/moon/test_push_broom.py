"""What two telescopes see of a ground: parallax of heights, one photometry each, and a truth that both images obey."""

import math

import numpy as np
import pytest

from orrery.instruments.photometry import Sun, View
from orrery.instruments.terrain_camera import SLANT_DEG, metres_per_px
from orrery.raster.shade import shade
from orrery.raster.stereo import MatchParams, match
from orrery.seeds import stream
from orrery.worlds.moon import push_broom
from orrery.worlds.moon.push_broom import stereo_view
from orrery.worlds.moon.terrain import Ground, make_ground

SUN = Sun(95.0, 35.0)


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_broom, "SMOOTH_PX", 0.0)
    monkeypatch.setattr(push_broom, "TREMOR_PX", 0.0)


def _ground(height_m: np.ndarray) -> Ground:
    albedo = 1 + 0.1 * np.random.default_rng(0).standard_normal(height_m.shape)
    return Ground(height_m.astype(np.float32), albedo.astype(np.float32), 5.0)


def test_a_plateau_is_displaced_by_its_height(undisturbed: None) -> None:
    view = stereo_view(_ground(np.full((240, 160), 100.0)), SUN, SLANT_DEG, 0.5, stream(7, "a"))
    expected = -100.0 / metres_per_px(10.0)
    assert np.allclose(view.disparity_px[20:-20], expected, atol=1e-3)


def test_heights_follow_from_the_disparity(undisturbed: None) -> None:
    ground = make_ground("flat", (320, 240), 5.0, 7, "push-broom")
    view = stereo_view(ground, SUN, SLANT_DEG, 0.5, stream(7, "a"))
    heights = -view.disparity_px * metres_per_px(10.0)
    # a pixel of the left image shows ground that lies z tan(15 degrees) further up the map
    rows = np.arange(160)[:, None] * 2 + 0.5 - heights * math.tan(math.radians(15)) / 5
    columns = np.arange(120) * 2
    known = ground.height_m[np.clip(np.rint(rows), 0, 319).astype(int), columns]
    assert np.abs(heights - known)[20:-20].std() < 0.6


def test_matching_the_two_images_finds_the_truth() -> None:
    ground = make_ground("flat", (480, 360), 5.0, 7, "push-broom-2")
    view = stereo_view(ground, SUN, SLANT_DEG, 0.5, stream(7, "b"))
    found = match(200 * view.left, 200 * view.right, MatchParams(search_px=14))
    error = (found.disparity_px - view.disparity_px)[30:-30][found.valid[30:-30]]
    assert abs(np.median(error)) < 0.01
    assert 1.4826 * np.median(np.abs(error)) < 0.1


def test_each_view_has_its_own_shading() -> None:
    ground = make_ground("highland", (240, 240), 5.0, 7, "push-broom-3")
    ahead, back = (shade(ground.height_m, 5.0, SUN, view=View(azimuth, 15.0)) for azimuth in (0.0, 180.0))
    straight = shade(ground.height_m, 5.0, SUN)
    assert 0.002 < np.abs(ahead - back).mean() < 0.1
    assert np.abs((ahead + back) / 2 - straight).mean() < np.abs(ahead - back).mean()


def test_level_ground_is_as_bright_from_everywhere() -> None:
    level = np.zeros((8, 8), np.float32)
    for model in ("lunar-lambert", "lambert", "lommel-seeliger", "hapke"):
        assert np.allclose(shade(level, 5.0, SUN, model, View(30.0, 15.0)), 1)


def test_phase_is_the_angle_between_sun_and_camera() -> None:
    assert View(0, 0).phase_deg(Sun(10, 30)) == pytest.approx(60)
    assert View(95, 20).phase_deg(Sun(95, 35)) == pytest.approx(35)
    assert View(275, 20).phase_deg(Sun(95, 35)) == pytest.approx(75)
