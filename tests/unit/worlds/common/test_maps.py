"""Places and displacements that twins of every body share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine

from orrery.raster.grid import AffineMap, Grid, check_body
from orrery.raster.projections import equirectangular
from orrery.worlds.common.maps import random_map, sampled

CRS = equirectangular("moon", 20.0)
SOURCE = Grid(CRS, Affine(3, 0, 600, 0, -3, 900), 300, 400)


def plane(grid: Grid, across: float, up: float) -> np.ndarray:
    """Heights of a tilted plane at a grid's pixel centres."""
    rows, columns = np.indices(grid.shape)
    x, y = grid.xy(rows, columns)
    return np.asarray(across * (x - 600) + up * (y - 900), np.float32)


@pytest.mark.parametrize("body", ["moon", "mars"])
def test_projection_lies_on_its_body_and_is_true_at_its_latitude(body: str) -> None:
    crs = equirectangular(body, 24.0)  # type: ignore[arg-type]
    check_body(crs, body, "a.tif")  # type: ignore[arg-type]
    assert crs.to_dict()["proj"] == "eqc"
    assert crs.to_dict()["lat_ts"] == 24


def test_sampling_shows_the_ground_where_the_map_says() -> None:
    """On a plane, interpolation is exact: the value written at p must be the plane's at map(p)."""
    target = Grid(CRS, Affine(5, 0, 800, 0, -5, 800), 60, 70)
    displacement = AffineMap(((1.001, -0.002), (0.0015, 0.999)), (17.3, -8.1), target.centre)
    rows, columns = np.indices(target.shape)
    x, y = displacement.apply(*target.xy(rows, columns))
    expected = 0.3 * (x - 600) - 0.2 * (y - 900)
    np.testing.assert_allclose(
        sampled(plane(SOURCE, 0.3, -0.2), SOURCE, target, displacement), expected, atol=2e-3
    )


def test_sampling_without_displacement_is_a_cut() -> None:
    values = np.random.default_rng(0).standard_normal(SOURCE.shape).astype(np.float32)
    cut = sampled(values, SOURCE, SOURCE.window(40, 50, 100, 120), AffineMap.identity())
    np.testing.assert_allclose(cut, values[40:140, 50:170], atol=1e-4)


def test_random_map_keeps_its_bounds() -> None:
    for seed in range(20):
        found = random_map(SOURCE, 300.0, 0.1, 1e-3, np.random.default_rng(seed))
        assert math.hypot(*found.shift_m) == pytest.approx(300)
        (a, b), (d, e) = found.matrix
        assert abs(math.degrees(math.atan2(d, a))) <= 0.1
        assert max(abs(math.hypot(a, d) - 1), abs(math.hypot(b, e) - 1)) <= 1e-3
        x, y = found.apply(*SOURCE.centre)
        assert (float(x), float(y)) == pytest.approx(np.add(SOURCE.centre, found.shift_m))
