"""Crater forms: fresh ones measure as published, worn ones obey the diffusion equation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from orrery.worlds.common.craters import LIFETIME_CREEP, Craters
from orrery.worlds.common.profiles import (
    CREEP_STATES,
    REACH_RADII,
    fresh_depth_over_diameter,
    fresh_profile,
    profile_table,
    worn_profile,
)
from orrery.worlds.common.stamping import add_craters


def crater(diameter_m: float, place_m: float, creep: float = 0.0) -> Craters:
    return Craters(*(np.array([v]) for v in (place_m, place_m, diameter_m, 0.0, creep)))


def test_fresh_form_has_the_published_rim_and_depth() -> None:
    """Rim 0.036 D (Pike 1977); floor 0.181 D below the surroundings (Fassett and Thomson 2014)."""
    profile = fresh_profile(np.linspace(0, REACH_RADII, 3001))
    assert profile.max() == pytest.approx(0.036, abs=0.002)
    assert profile.min() == pytest.approx(-0.181)
    assert fresh_profile(1.96) / fresh_profile(0.98) == pytest.approx(1 / 8, rel=1e-3)  # ejecta fall as r^-3
    assert fresh_profile(REACH_RADII) == 0


@pytest.mark.parametrize("creep", [0.01, 0.1, 0.3])
def test_worn_form_is_the_blurred_crater(creep: float) -> None:
    """Diffusion in the plane is convolution with a Gaussian of variance 2 K t: done here on a raster."""
    radius = 60
    axis = np.arange(-5 * radius, 5 * radius + 1) / radius
    fresh = fresh_profile(np.hypot(axis[:, None], axis))
    blurred = ndimage.gaussian_filter(fresh, np.sqrt(2 * creep) * radius, truncate=6)[5 * radius]
    inner = np.abs(axis) < REACH_RADII
    np.testing.assert_allclose(worn_profile(np.abs(axis[inner]), creep), blurred[inner], atol=1.5e-3)


def test_a_crater_at_the_end_of_its_life_is_an_eighth_as_deep() -> None:
    radii = np.linspace(0, REACH_RADII, 301)
    share = np.ptp(worn_profile(radii, LIFETIME_CREEP)) / np.ptp(fresh_profile(radii))
    assert share == pytest.approx(1 / 8, abs=0.02)


def test_table_fades_monotonically() -> None:
    depth = np.ptp(profile_table(), axis=1)
    assert depth[0] == pytest.approx(1)
    assert (np.diff(depth) < 0).all()
    assert profile_table().shape[0] == CREEP_STATES.size
    assert np.abs(profile_table()[:, -1]).max() < 1e-6


@pytest.mark.parametrize(
    ("diameter_m", "ratio"), [(63, 0.13), (141, 0.15), (283, 0.17), (600, 0.21), (20, 0.13)]
)
def test_fresh_craters_are_as_deep_as_measured(diameter_m: float, ratio: float) -> None:
    """Depth over diameter of the classes of Stopar et al. 2017, on the raster where it resolves them."""
    assert fresh_depth_over_diameter(diameter_m) == pytest.approx(ratio)
    gsd = diameter_m / 60
    height = np.zeros((241, 241), np.float32)
    add_craters(height, gsd, crater(diameter_m, 120.5 * gsd))
    assert np.ptp(height) / diameter_m == pytest.approx(ratio, rel=0.02)


def test_stamps_lie_where_they_should_and_agree_between_sizes() -> None:
    """A crater in a class window and the same one stamped alone, 4 times finer, are one form."""
    coarse, fine = np.zeros((100, 100), np.float32), np.zeros((400, 400), np.float32)
    add_craters(coarse, 4.0, crater(80.0, 203.0))  # radius 10 px
    add_craters(fine, 1.0, crater(80.0, 203.0))  # radius 40 px
    averaged = fine.reshape(100, 4, 100, 4).mean((1, 3))
    np.testing.assert_allclose(coarse, averaged, atol=0.15)
    low = np.array(np.unravel_index(coarse.argmin(), coarse.shape))
    assert np.abs((low + 0.5) * 4 - 203).max() < 12
    weights = np.minimum(coarse, 0)
    centre = (weights.sum(0) * (np.arange(100) + 0.5) * 4).sum() / weights.sum()
    assert centre == pytest.approx(203, abs=0.5)


def test_a_crater_across_the_edge_leaves_its_inner_part() -> None:
    whole, part = np.zeros((120, 120), np.float32), np.zeros((60, 60), np.float32)
    add_craters(whole, 1.0, crater(30.0, 65.0))
    add_craters(part, 1.0, crater(30.0, 65.0))
    np.testing.assert_allclose(part, whole[:60, :60], atol=1e-6)
