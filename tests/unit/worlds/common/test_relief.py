"""The ground between craters has the roughness it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from orrery.worlds.common.relief import crater_wall, massif, self_affine


def deviogram_exponent(field: np.ndarray, lags: list[int]) -> float:
    """Slope of log(root mean square difference) over log(distance): the Hurst exponent of Rosenburg et al. 2011."""
    differences = [np.sqrt(np.mean((field[:, lag:] - field[:, :-lag]) ** 2)) for lag in lags]
    return float(np.polyfit(np.log(lags), np.log(differences), 1)[0])


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.76])
def test_hurst_exponent_is_recovered(hurst: float) -> None:
    fields = [self_affine((500, 700), 3.0, hurst, np.random.default_rng(seed)) for seed in range(6)]
    measured = np.mean([deviogram_exponent(field, [4, 8, 16, 32]) for field in fields])
    assert measured == pytest.approx(hurst, abs=0.06)


@pytest.mark.parametrize("gsd", [2.0, 5.0])
def test_points_100_m_apart_differ_by_one(gsd: float) -> None:
    field = self_affine((400, 300), gsd, 0.76, np.random.default_rng(1))
    lag = round(100 / gsd)
    squares = [np.mean((field[lag:] - field[:-lag]) ** 2), np.mean((field[:, lag:] - field[:, :-lag]) ** 2)]
    assert np.sqrt(np.mean(squares)) == pytest.approx(1, abs=0.01)


def test_smoothing_takes_the_shortest_waves_only() -> None:
    rough, smooth = (
        self_affine((400, 400), 3.0, 0.76, np.random.default_rng(2), smoothing_m=s) for s in (0.0, 6.0)
    )
    assert np.diff(smooth).std() < 0.7 * np.diff(rough).std()
    assert np.corrcoef(rough.ravel(), smooth.ravel())[0, 1] > 0.99


def test_opposite_edges_are_unrelated() -> None:
    """A periodic field would repeat its first column after the last: the cut must not."""
    field = self_affine((300, 300), 3.0, 0.76, np.random.default_rng(3))
    assert np.abs(field[:, 0] - field[:, -1]).mean() > 5 * np.abs(np.diff(field)).mean()


def test_wall_has_its_relief_and_stands_below_the_angle_of_repose() -> None:
    height, steepness = crater_wall((900, 900), 4.0, 600.0, np.random.default_rng(4))
    down, right = np.gradient(height, 4.0)
    slope = np.degrees(np.arctan(np.hypot(down, right)))
    assert 450 < np.ptp(height) < 900
    assert 20 < np.median(slope[steepness > 0.9]) < 33
    assert np.median(slope[steepness < 0.1]) < 10


def test_massif_has_its_relief() -> None:
    height = massif((800, 800), 4.0, 200.0, np.random.default_rng(5))
    assert height.min() >= 0
    assert 120 < height.max() < 520
