"""The crater population is the published one."""

from __future__ import annotations

import numpy as np
import pytest

from orrery.worlds.common.craters import (
    MOON,
    Craters,
    draw_craters,
    equilibrium_per_km2,
    visible_per_km2,
    without_buried,
)


def test_chronology_meets_the_production_function_at_one_gigayear() -> None:
    """Neukum's constant a0 = -3.0876 is the chronology's number at 1 km and 1 Ga, to the 3 % that both were fitted to."""
    assert MOON.chronology_per_km2(1.0) == pytest.approx(10**-3.0876, rel=0.03)
    assert MOON.per_km2(1000.0, 1.0) == pytest.approx(MOON.chronology_per_km2(1.0))


def test_chronology_at_the_oldest_maria() -> None:
    # 5.44e-14 (e^(6.93 x 3.8) - 1) + 8.38e-4 x 3.8, by hand.
    assert MOON.chronology_per_km2(3.8) == pytest.approx(0.01805, rel=1e-3)


def test_production_is_steep_between_100_m_and_1_km_and_continues_below_10_m() -> None:
    exponents = np.diff(np.log(MOON.per_km2([100.0, 1000.0], 3.0))) / np.log(10)
    assert -4 < exponents[0] < -3  # "a cumulative slope of about -3" of lunar craters below 1 km
    below = np.diff(np.log(MOON.per_km2([2.5, 5.0, 10.0, 10.001], 3.0))) / np.diff(
        np.log([2.5, 5.0, 10.0, 10.001])
    )
    np.testing.assert_allclose(below, below[-1], rtol=1e-3)


def test_mare_of_three_gigayears_is_in_equilibrium_below_some_hundred_metres() -> None:
    diameters = np.geomspace(20, 500, 400)
    crossing = diameters[np.argmax(MOON.per_km2(diameters, 3.0) < equilibrium_per_km2(diameters))]
    assert 80 < crossing < 300


def test_drawn_craters_have_the_published_density() -> None:
    """Counts above each diameter agree with the cited function within four standard deviations of Poisson's law."""
    craters = draw_craters(MOON, (8000.0, 8000.0), 9.0, 1000.0, 3.0, 1.0, np.random.default_rng(5))
    for diameter in (12.0, 20.0, 50.0, 100.0, 200.0):
        expected = 64 * (visible_per_km2(MOON, diameter, 3.0) - visible_per_km2(MOON, 1000.0, 3.0))
        # Small ones lose a few per cent to younger larger ones, as they should.
        assert (
            expected * 0.9 - 4 * np.sqrt(expected)
            < (craters.diameter_m >= diameter).sum()
            < expected + 4 * np.sqrt(expected)
        )


def test_steep_ground_keeps_fewer() -> None:
    assert visible_per_km2(MOON, 30.0, 3.8, 0.4) == pytest.approx(0.4 * equilibrium_per_km2(30.0))


def test_ages_and_wear_are_those_of_a_steady_rain() -> None:
    craters = draw_craters(MOON, (6000.0, 6000.0), 9.0, 1000.0, 3.0, 1.0, np.random.default_rng(6))
    assert craters.age_ga.max() <= 3.0
    small, large = craters.diameter_m < 40, craters.diameter_m > 150
    assert craters.age_ga[small].max() < 1.5 < craters.age_ga[large].max()
    assert np.median(craters.creep[small]) == pytest.approx(0.175, abs=0.02)  # half a lifetime
    assert (
        np.median(craters.creep[large]) < 0.12
    )  # large ones are fresher: the surface is too young to wear them out


def test_a_young_large_crater_buries_old_small_ones_only() -> None:
    craters = Craters(
        x_m=np.array([500.0, 520.0, 530.0, 900.0]),
        y_m=np.array([500.0, 500.0, 500.0, 500.0]),
        diameter_m=np.array([200.0, 10.0, 12.0, 10.0]),
        age_ga=np.array([0.5, 0.9, 0.1, 0.9]),
        creep=np.zeros(4),
    )
    assert without_buried(craters).diameter_m.tolist() == [200.0, 12.0, 10.0]


def test_the_same_stream_draws_the_same_craters() -> None:
    first, second = (
        draw_craters(MOON, (900.0, 900.0), 9.0, 300.0, 3.0, 1.0, np.random.default_rng(3)) for _ in range(2)
    )
    assert np.array_equal(first.x_m, second.x_m)
    assert np.array_equal(first.creep, second.creep)
