"""Whole grounds: published slopes, seeds, rocks and brightness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from orrery.worlds.common.craters import Craters
from orrery.worlds.moon.albedo import albedo
from orrery.worlds.moon.rocks import add_rocks, rocks_per_m2
from orrery.worlds.moon.terrain import KINDS, make_ground

SHAPE, GSD = (600, 600), 3.0


def slope_at_17_m(height: np.ndarray) -> float:
    """Median slope of the planes through points 17 m apart across and down, degrees, as LOLA's spots measure it."""
    lag = round(17 / GSD)
    right = (height[:-lag, lag:] - height[:-lag, :-lag]) / (lag * GSD)
    down = (height[lag:, :-lag] - height[:-lag, :-lag]) / (lag * GSD)
    return float(np.median(np.degrees(np.arctan(np.hypot(right, down)))))


def test_mare_slopes_are_those_that_lola_measured() -> None:
    """Median of the maria at the 17 m baseline: 2.0 degrees (Rosenburg et al. 2011, Table 2)."""
    slopes = [slope_at_17_m(make_ground("flat", SHAPE, GSD, 7, f"mare-{n}").height_m) for n in range(6)]
    assert np.mean(slopes) == pytest.approx(2.0, abs=0.5)


def test_mountains_are_at_least_as_steep_as_the_median_highland() -> None:
    """Highlands: 7.5 degrees at 17 m (same table); single mountains stand above, no ground above the angle of repose."""
    slopes = [
        slope_at_17_m(make_ground("mountain", SHAPE, GSD, 7, f"mountain-{n}").height_m) for n in range(4)
    ]
    assert 7.5 < np.mean(slopes) < 16


@pytest.mark.parametrize(
    ("kind", "golden"),
    [
        ("flat", (0.691, -0.635, 0.651)),
        ("mountain", (-26.944, 16.945, -59.183)),
        ("wall", (-25.766, -16.822, 50.0)),
    ],
)
def test_golden_heights(kind: str, golden: tuple[float, ...]) -> None:
    """Values of seed 7: they change only when the twin is meant to change."""
    ground = make_ground(kind, (200, 240), 4.0, 7, "golden")  # type: ignore[arg-type]
    heights = [float(ground.height_m[place]) for place in ((0, 0), (100, 120), (199, 239))]
    assert heights == pytest.approx(golden, abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_seeds_make_grounds(kind: str) -> None:
    first, again, other, seed = (
        make_ground(kind, (150, 150), 4.0, s, name).height_m  # type: ignore[arg-type]
        for s, name in ((7, "a"), (7, "a"), (7, "b"), (8, "a"))
    )
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.5
    assert np.abs(first - seed).mean() > 0.5
    assert np.isfinite(first).all()


def test_rock_numbers_are_the_integral_of_the_cited_law() -> None:
    """N(D) = integral of (k q e^(-q x)) / (pi x^2 / 4) from D on, by adaptive quadrature."""
    for k, diameter in ((0.1, 1.5), (0.05, 1.0), (0.02, 0.5)):
        q = 1.79 + 0.152 / k
        expected, _ = quad(lambda x, k=k, q=q: k * q * np.exp(-q * x) / (np.pi * x**2 / 4), diameter, np.inf)
        assert float(rocks_per_m2(diameter, k)) == pytest.approx(expected, rel=1e-4)


def one_crater(diameter_m: float, age_ga: float) -> Craters:
    return Craters(*(np.array([v]) for v in (300.0, 300.0, diameter_m, age_ga, 0.0)))


def test_rocks_lie_around_fresh_craters_and_vanish_with_age() -> None:
    fresh, old, small = (np.zeros((200, 200), np.float32) for _ in range(3))
    many = add_rocks(fresh, 3.0, one_crater(120.0, 0.001), None, np.random.default_rng(1))
    few = add_rocks(old, 3.0, one_crater(120.0, 1.0), None, np.random.default_rng(1))
    none = add_rocks(small, 3.0, one_crater(20.0, 0.001), None, np.random.default_rng(1))
    expected = float(rocks_per_m2(1.5, 0.1)) * np.pi * 180**2
    assert abs(many - expected) < 4 * np.sqrt(expected)
    assert (few, none) == (0, 0)
    rows, columns = np.nonzero(fresh > 0.05)
    assert np.hypot((rows + 0.5) * 3 - 300, (columns + 0.5) * 3 - 300).max() < 3 * 60 + 12


def test_walls_shed_rocks_where_they_are_steep() -> None:
    height, steepness = np.zeros((400, 400), np.float32), np.zeros((400, 400), np.float32)
    steepness[:, 200:] = 1
    assert add_rocks(height, 3.0, one_crater(10.0, 1.0), steepness, np.random.default_rng(2)) > 5
    assert height[:, :190].max() == 0


def test_fresh_craters_are_bright_and_darken() -> None:
    flat = np.zeros((200, 200), np.float32)
    fresh = albedo(flat, 3.0, one_crater(60.0, 0.0), np.random.default_rng(3))
    old = albedo(flat, 3.0, one_crater(60.0, 0.1), np.random.default_rng(3))
    assert fresh[97:103, 97:103].mean() - old[97:103, 97:103].mean() == pytest.approx(0.5, abs=0.02)
    assert old.mean() == pytest.approx(1, abs=0.01)
    assert np.array_equal(fresh[:30], old[:30])  # rays end at five radii
