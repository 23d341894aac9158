"""Windowed readers against the same operation on the whole raster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from orrery.raster.grid import Grid
from orrery.raster.windows import Placed, Warped, block_means, coarser, covered, reduced

MOON = CRS.from_string("IAU_2015:30110")
POLAR = CRS.from_proj4("+proj=stere +lat_0=-90 +lon_0=0 +k=1 +R=1737400 +units=m")


@dataclass
class Whole:
    """An array that is read by windows, and remembers how much was asked for."""

    values: np.ndarray
    grid: Grid
    largest: int = 0

    def read(self, row, column, height, width):
        self.largest = max(self.largest, height * width)
        padded = np.pad(self.values, 3000, constant_values=np.nan)
        return padded[row + 3000 : row + 3000 + height, column + 3000 : column + 3000 + width]


@pytest.fixture
def whole() -> Whole:
    values = np.random.default_rng(0).normal(size=(307, 211)).astype(np.float32)
    values[40:60, 100:130] = np.nan
    return Whole(values, Grid(MOON, Affine(2, 0, 100, 0, -2, 900), 307, 211))


@pytest.mark.parametrize("factor", [1, 2, 7, 60, 400])
def test_reduced_is_the_mean_of_each_block_s_valid_pixels(whole, factor):
    small = reduced(whole, factor)
    assert small.grid == coarser(whole.grid, factor)
    assert small.grid.xy(-0.5, -0.5) == whole.grid.xy(-0.5, -0.5)
    for row, column in [
        (0, 0),
        (small.grid.height - 1, small.grid.width - 1),
        (small.grid.height // 6, small.grid.width // 2),
    ]:
        block = whole.values[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        expected = np.nan if np.isnan(block).all() else np.nanmean(block)
        assert small.values[row, column] == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_reduced_reads_a_band_at_a_time(whole):
    reduced(whole, 4)
    assert whole.largest <= 256 * 212


def test_block_means_of_blocks_without_a_value_are_nan():
    values = np.array([[np.nan, np.nan, 1, 2], [np.nan, np.nan, 3, np.nan]], np.float32)
    np.testing.assert_array_equal(block_means(values, 2), [[np.nan, 2]])


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
@pytest.mark.parametrize("gsd_m", [1.7, 2.0, 5.0])
def test_a_warped_window_equals_the_same_part_of_the_warped_whole(whole, method, gsd_m):
    grid = Grid(MOON, Affine(gsd_m, 0.1, 105, -0.1, -gsd_m, 890), 150, 100)
    warped = Warped(whole, grid, method)
    expected = warped.read(0, 0, 150, 100)
    whole.largest = 0
    np.testing.assert_allclose(warped.read(30, 20, 50, 60), expected[30:80, 20:80], atol=1e-4)
    assert whole.largest < whole.values.size


def test_a_warp_between_equal_pixels_is_a_cubic_interpolation():
    rows, columns = np.meshgrid(np.arange(80.0), np.arange(90.0), indexing="ij")
    wave = np.cos(2 * np.pi * (rows + 2 * columns) / 8).astype(np.float32)  # a widened kernel would damp it
    source = Whole(wave, Grid(MOON, Affine(2, 0, 0, 0, -2, 0), 80, 90))
    grid = Grid(MOON, Affine(2, 0.02, 20.6, -0.02, -2, -21), 50, 50)
    row, column = source.grid.rowcol(*grid.xy(*np.meshgrid(np.arange(50), np.arange(50), indexing="ij")))
    expected = np.cos(2 * np.pi * (row + 2 * column) / 8)
    assert np.abs(Warped(source, grid).read(0, 0, 50, 50) - expected).max() < 0.2


def test_a_window_that_reaches_beyond_is_nan_there(whole):
    part = Warped(whole, whole.grid, "bilinear").read(-10, -10, 20, 20)
    assert np.isnan(part[:10]).all()
    np.testing.assert_allclose(part[10:, 10:], whole.values[:10, :10], atol=1e-5)
    assert np.isnan(Warped(whole, whole.grid).read(5000, 0, 4, 4)).all()


def test_covered_holds_the_target_with_its_margin(whole):
    target = whole.grid.window(50, 60, 20, 30)
    row, column, height, width = covered(whole.grid, target, 3)
    assert row <= 47
    assert column <= 57
    assert row + height >= 73
    assert column + width >= 93
    assert height <= 20 + 2 * 3 + 3
    assert covered(whole.grid, whole.grid.window(0, 400, 10, 10), 3) is None


def test_covered_works_across_projections():
    source = Grid(POLAR, Affine(1000, 0, -300_000, 0, -1000, 300_000), 600, 600)
    x, y = source.xy(100, 200)
    eqc = CRS.from_proj4("+proj=eqc +lat_ts=-80 +R=1737400 +units=m")
    longitude, colatitude = np.arctan2(x, y), 2 * np.arctan(np.hypot(x, y) / 2 / 1_737_400)
    easting = 1_737_400 * np.cos(np.radians(80)) * longitude
    northing = -1_737_400 * (np.pi / 2 - colatitude)
    target = Grid(eqc, Affine(100, 0, float(easting) - 500, 0, -100, float(northing) + 500), 10, 10)
    row, column, height, width = covered(source, target, 2)
    assert row <= 100 < row + height
    assert column <= 200 < column + width
    assert height < 20


def test_placed_has_the_pixels_of_one_and_the_place_of_another(whole):
    moved = Grid(MOON, Affine.translation(50, 0) * whole.grid.transform, 307, 211)
    placed = Placed(whole, moved)
    np.testing.assert_array_equal(placed.read(5, 6, 7, 8), whole.values[5:12, 6:14])
    assert placed.grid.xy(0, 0)[0] == whole.grid.xy(0, 0)[0] + 50
