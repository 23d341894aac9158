"""Resampling against functions whose values are known everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform_bounds
from scipy.interpolate import CubicSpline

from orrery.errors import OrreryError
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, Spline, resample, upsample
from tests.unit.raster.raster_files import MOON, SOUTH, lunar_grid

COARSE = Grid(MOON, Affine(60, 0, 0, 0, -60, 4800), 80, 80)
FINE = Grid(MOON, Affine(7, 0, 900, 0, -7, 3700), 300, 350)


def _plane(grid, wave=0.0):
    """Heights that slope, with waves of 25 postings where asked for."""
    x, y = grid.xy(np.arange(grid.height)[:, None], np.arange(grid.width)[None])
    return 0.03 * x - 0.02 * y + wave * np.sin(2 * np.pi * x / 1500) * np.cos(2 * np.pi * y / 1500)


def _coarse(grid=COARSE, wave=0.0):
    return Raster(_plane(grid, wave).astype(np.float32), grid)


def test_a_plane_and_waves_are_reproduced():
    np.testing.assert_allclose(upsample(_coarse(wave=50), FINE), _plane(FINE, 50), atol=0.02)


def test_rotated_geotransforms_are_exact_both_ways():
    turn = AffineMap(((0.999, 0.03), (-0.03, 1.001)), (40, -25), (2400, 2400))
    coarse = turn.moved(COARSE)
    np.testing.assert_allclose(upsample(_coarse(coarse, 50), FINE), _plane(FINE, 50), atol=0.02)
    fine = turn.moved(FINE)
    np.testing.assert_allclose(upsample(_coarse(wave=50), fine), _plane(fine, 50), atol=0.02)


def test_postings_are_kept_and_between_them_lies_the_natural_interpolating_spline():
    rng = np.random.Generator(np.random.PCG64(1))
    heights = np.repeat(rng.normal(size=80)[None], 80, axis=0)
    coarse = Raster(heights.astype(np.float32), COARSE)
    np.testing.assert_allclose(upsample(coarse, COARSE), heights, atol=1e-5)
    quarter = Grid(MOON, COARSE.transform * Affine.scale(0.25), 320, 320)
    row = upsample(coarse, quarter)[160]
    expected = CubicSpline(np.arange(80), heights[0].astype(np.float32))((np.arange(320) + 0.5) / 4 - 0.5)
    np.testing.assert_allclose(
        row[80:240], expected[80:240], atol=1e-5
    )  # the ends differ by the boundary condition


def test_a_raster_that_covers_a_part_is_as_sharp_as_one_that_covers_all():
    """GDAL's own guess stretches its kernel by the ratio of the extents: here that would blur twice over."""
    rng = np.random.Generator(np.random.PCG64(4))
    whole = Raster(rng.normal(size=(80, 80)).astype(np.float32), COARSE)
    part = Raster(whole.values[:, 20:60], COARSE.window(0, 20, 80, 40))
    shifted = Grid(MOON, COARSE.transform * Affine.translation(0.4, 0.3), 80, 80)
    everything, seen = resample(whole, shifted).values, resample(part, shifted).values
    inside = np.s_[5:75, 25:55]
    np.testing.assert_allclose(seen[inside], everything[inside], atol=1e-5)
    assert np.std(everything[inside]) > 0.6  # of 1: half-way samples of noise through a cubic kernel


@given(data=st.data(), angle=st.floats(-20, 20), dx=st.floats(-300, 300))
def test_a_window_gives_bit_for_bit_the_values_of_the_whole(data, angle, dx):
    rng = np.random.Generator(np.random.PCG64(2))
    heights = rng.normal(size=COARSE.shape).astype(np.float32)
    heights[30:34, 40:47] = np.nan
    spline = Spline(Raster(heights, COARSE))
    centre = Affine.rotation(angle, pivot=(2400, 2400)) * Affine.translation(dx, 0)
    grid = Grid(MOON, centre * Affine(37.3, 0, 500, 0, -37.1, 4300), 100, 110)
    row, column = data.draw(st.integers(0, 99)), data.draw(st.integers(0, 109))
    height, width = data.draw(st.integers(1, 100 - row)), data.draw(st.integers(1, 110 - column))
    part = spline.on(grid.window(row, column, height, width))
    whole = spline.on(grid)[row : row + height, column : column + width]
    assert part.tobytes() == whole.tobytes()


def test_unknown_postings_are_unknown_again_and_do_not_spread():
    coarse = _coarse()
    coarse.values[40, 30] = np.nan
    row, column = FINE.positions_in(COARSE)
    hole = (np.abs(row - 40) < 0.5) & (np.abs(column - 30) < 0.5)
    found = upsample(coarse, FINE)
    np.testing.assert_array_equal(np.isnan(found), hole)
    assert hole.sum() > 50
    far = np.hypot(row - 40, column - 30) > 6
    np.testing.assert_allclose(found[far], _plane(FINE)[far], atol=0.02)


def test_beyond_the_postings_there_is_nothing():
    beyond = Grid(MOON, Affine(30, 0, -300, 0, -30, 5100), 180, 180)
    row, column = beyond.positions_in(COARSE)
    inside = (row >= -0.5) & (row < 79.5) & (column >= -0.5) & (column < 79.5)
    np.testing.assert_array_equal(np.isfinite(upsample(_coarse(), beyond)), inside)
    assert inside.sum() == 160 * 160


def test_a_coarse_raster_of_one_posting_or_of_none():
    one = Grid(MOON, Affine(60, 0, 0, 0, -60, 60), 1, 1)
    inside = Grid(MOON, Affine(10, 0, 0, 0, -10, 60), 6, 6)
    assert (upsample(Raster(np.full((1, 1), 5, np.float32), one), inside) == 5).all()
    with pytest.raises(OrreryError, match="no valid pixel"):
        upsample(Raster(np.full((1, 1), np.nan, np.float32), one), inside)


def test_other_projections_are_refused_by_upsample():
    with pytest.raises(OrreryError, match="another coordinate system"):
        upsample(_coarse(), lunar_grid(crs=SOUTH))


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_resample_reproduces_a_plane_on_a_rotated_grid(method):
    turned = AffineMap(((0.9, 0.3), (-0.3, 0.9)), (0, 0), (2400, 2400)).moved(FINE)
    found = resample(_coarse(), turned, method=method).values
    np.testing.assert_allclose(found, _plane(turned), atol=0.01)


def test_average_is_the_mean_of_the_pixels_below():
    rng = np.random.Generator(np.random.PCG64(4))
    values = rng.normal(size=(80, 80)).astype(np.float32)
    grid = Grid(MOON, Affine(240, 0, 0, 0, -240, 4800), 20, 20)
    found = resample(Raster(values, COARSE), grid, method="average").values
    np.testing.assert_allclose(found, values.reshape(20, 4, 20, 4).mean((1, 3)), atol=1e-5)


def test_nearest_takes_values_as_they_are():
    values = np.arange(6400, dtype=np.float32).reshape(80, 80)
    shifted = Grid(MOON, Affine(60, 0, 13, 0, -60, 4790), 79, 79)
    found = resample(Raster(values, COARSE), shifted, method="nearest").values
    np.testing.assert_array_equal(found, values[:79, :79])


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
def test_invalid_pixels_do_not_leak_into_values(method):
    coarse = _coarse()
    coarse.values[10:20, 10:20] = np.nan
    found = resample(coarse, FINE, method=method).values
    valid = np.isfinite(found)
    np.testing.assert_allclose(found[valid], _plane(FINE)[valid], atol=3)  # within two postings' rise
    row, column = FINE.positions_in(COARSE)
    assert np.isnan(found[(np.abs(row - 14.5) < 3) & (np.abs(column - 14.5) < 3)]).all()


def test_resample_beyond_the_raster_is_nan_and_there_and_back_is_the_same():
    polar = Grid(SOUTH, Affine(50, 0, -3000, 0, -50, 83000), 120, 120)
    x, y = polar.xy(np.arange(120)[:, None], np.arange(120)[None])
    raster = Raster((np.sin(x / 900) * np.cos(y / 700)).astype(np.float32), polar)
    left, bottom, right, top = transform_bounds(SOUTH, MOON, *polar.bounds)
    there = Grid(MOON, Affine((right - left) / 900, 0, left, 0, (bottom - top) / 300, top), 300, 900)
    warped = resample(raster, there, method="cubic")
    assert 0 < np.isnan(warped.values).mean() < 0.6
    back = resample(warped, polar, method="cubic").values[10:-10, 10:-10]
    assert np.nanmax(np.abs(back - raster.values[10:-10, 10:-10])) < 0.01


def test_two_bodies_have_no_way_between_them():
    mars = Grid(CRS.from_string("IAU_2015:49910"), FINE.transform, 10, 10)
    with pytest.raises(OrreryError, match="no way from one coordinate system to another"):
        resample(_coarse(), mars)
