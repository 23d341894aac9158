"""Cast shadows are as long as geometry says, for every azimuth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orrery.instruments.photometry import Sun
from orrery.worlds.common.shadows import lit_fraction, shadow_depth


@pytest.mark.parametrize("azimuth", range(0, 360, 24))
@pytest.mark.parametrize("elevation", [6.0, 20.0, 50.0])
def test_shadow_of_a_wall_is_height_over_tangent(azimuth: int, elevation: float) -> None:
    """A wall across the sun's azimuth; the shadow ends h / tan(elevation) behind its far edge, within three pixels: both edges are jagged."""
    side, gsd = 241, 2.0
    length = 90.0
    height = length * math.tan(math.radians(elevation))
    down, right = np.mgrid[:side, :side] - side // 2
    a = math.radians(azimuth)
    towards_sun = (right * math.sin(a) - down * math.cos(a)) * gsd
    field = np.where(np.abs(towards_sun - 60) <= 6, height, 0).astype(np.float32)
    lit = lit_fraction(field, gsd, Sun(azimuth, elevation))
    inner = np.hypot(down, right) * gsd < 180
    behind = 54 - towards_sun
    assert (lit[inner & (behind > gsd) & (behind < length - 3 * gsd)] == 0).all()
    assert (lit[inner & (behind > length + 2 * gsd)] == 1).all()
    assert (lit[inner & (towards_sun > 66 + gsd)] == 1).all()


@pytest.mark.parametrize("azimuth", [0, 90, 180, 270, 45, 225])
def test_depth_equals_the_brute_force_maximum(azimuth: int) -> None:
    """Along rows, columns and diagonals rays pass through pixel centres, so the sweep is exact there."""
    field = np.random.default_rng(0).standard_normal((24, 24)).cumsum(0).astype(np.float32)
    step = [round(math.cos(math.radians(azimuth)) * 1.4), round(math.sin(math.radians(azimuth)) * 1.4)]
    fall = 3.0 * math.hypot(*step) * math.tan(math.radians(11))
    depth = shadow_depth(field, 3.0, Sun(azimuth, 11))
    for row in range(3, 21):
        for column in range(3, 21):
            rays = []
            for n in range(1, 24):
                r, c = row - n * step[0], column + n * step[1]
                if 0 <= r < 24 and 0 <= c < 24:
                    rays.append(field[r, c] - n * fall)
            assert depth[row, column] == pytest.approx(max(rays) - field[row, column], abs=2e-3)


def test_level_ground_and_high_suns_have_no_shadow() -> None:
    assert lit_fraction(np.zeros((40, 50), np.float32), 3.0, Sun(33, 2)).min() == 1
    hills = np.random.default_rng(1).standard_normal((40, 50)).astype(np.float32)
    assert lit_fraction(hills, 3.0, Sun(0, 90)).min() == 1


def test_quarter_turns_of_ground_and_sun_agree() -> None:
    field = np.random.default_rng(2).standard_normal((60, 60)).cumsum(1).astype(np.float32)
    expected = lit_fraction(field, 3.0, Sun(25, 14))
    turned = lit_fraction(np.rot90(field), 3.0, Sun(25 - 90, 14))
    np.testing.assert_allclose(np.rot90(turned, -1)[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-4)
