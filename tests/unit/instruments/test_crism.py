"""CRISM's bands and noise."""

from __future__ import annotations

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.instruments import crism


def test_the_joined_grid_has_its_489_bands_and_gaps() -> None:
    grid = crism.wavelengths_nm()
    assert (grid.size, grid[0]) == (489, 436.13)
    assert grid[-1] == pytest.approx(3896.76, abs=0.011)
    steps = np.diff(grid)
    assert np.flatnonzero(steps > 10).tolist() == [30, 77, 322]
    assert steps[steps < 10].min() > 6.4


def test_browse_bands_are_the_published_ones() -> None:
    """One-based bands of the products' own tables."""
    assert (crism.nearest_bands(crism.EVC_NM) + 1).tolist() == [2, 16, 25]
    assert (crism.nearest_bands(crism.FC_NM) + 1).tolist() == [84, 148, 300]


def test_nearest_bands_are_ascending_and_single() -> None:
    assert crism.nearest_bands([600.0, 438.0, 436.0]).tolist() == [0, 25]


@pytest.mark.parametrize("asked", [400.0, 660.0, 1030.0, 2700.0, 4000.0, float("nan")])
def test_a_wavelength_without_a_band_is_named(asked: float) -> None:
    with pytest.raises(OrreryError, match=f"no band at {asked:g} nm"):
        crism.nearest_bands([592.0, asked])


def test_noise_is_least_in_the_middle_of_the_infrared() -> None:
    share = crism.noise_share(crism.wavelengths_nm())
    assert share.min() == pytest.approx(0.003)
    assert 1 / crism.noise_share(np.array([1500.0]))[0] == pytest.approx(333, rel=0.01)
    assert crism.wavelengths_nm()[share.argmax()] > 3800
