"""Smooth fields: what they give, how they are undone, and how they are fitted."""

import json

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from scipy.interpolate import BSpline

from orrery.errors import OrreryError
from orrery.raster.align import Correction, SmoothField, warp
from orrery.raster.align.smooth import Fitter, Lattice, Measured, to_field
from orrery.raster.align.warping import between, positions_as_written
from orrery.raster.cube import Cube
from orrery.raster.grid import AffineMap, Grid
from orrery.seeds import stream

CTX = CRS.from_string("IAU_2015:49910")
LOCAL = CRS.from_proj4("+proj=eqc +lat_ts=-20 +R=3396190 +units=m +no_defs")
GRID = Grid(CTX, Affine(6, 0, 300_000, 0, -6, -80_000), 200, 260)
TURNED = AffineMap(((1.001, -0.002), (0.0021, 0.999)), (150.0, -200.0), GRID.centre)


def random_field(size_m=12.0, spacing_m=300.0, seed=3) -> SmoothField:
    rng = stream(seed, "field")
    left, _, right, top = GRID.bounds
    shape = (10, int((right - left) / spacing_m) + 6)
    return SmoothField(left - 600, top + 600, spacing_m, *(size_m * rng.standard_normal((2, *shape))))


def test_displacement_is_that_of_scipys_tensor_product_spline():
    field = random_field()
    x, y = field.left_m + 4.3 * field.spacing_m, field.top_m - 3.7 * field.spacing_m
    knots = np.arange(-2, 20)
    expected = [
        sum(
            plane[row, column]
            * BSpline.basis_element(knots[row : row + 5], extrapolate=False)(3.7)
            * BSpline.basis_element(knots[column : column + 5], extrapolate=False)(4.3)
            for row in range(2, 6)
            for column in range(3, 7)
        )
        for plane in (field.dx_m, field.dy_m)
    ]
    np.testing.assert_allclose(field.displacement(x, y), expected, atol=1e-9)


def test_positions_survive_the_way_there_and_back():
    correction = Correction(TURNED, random_field())
    rows, columns = np.meshgrid([0, 50, 199], [0.0, 130, 259])
    x, y = GRID.xy(rows, columns)
    back = correction.undo(*correction.apply(x, y))
    np.testing.assert_allclose(back, (x, y), atol=2e-3)


def test_a_field_that_folds_is_refused():
    with pytest.raises(OrreryError, match="folds the ground over"):
        Correction(AffineMap.identity(), random_field(size_m=2000.0)).undo(*GRID.xy([10, 100], [10, 100]))


def test_steepness_bounds_the_slopes():
    field = random_field(size_m=60.0)
    rows, columns = np.indices(GRID.shape)
    dx, dy = field.displacement(*GRID.xy(rows, columns))
    slopes = [sum(np.abs(np.gradient(plane, 6.0, axis=axis)).max() for axis in (0, 1)) for plane in (dx, dy)]
    assert 0.3 * field.steepness < max(slopes) < field.steepness


def test_dict_of_plain_numbers_to_the_millimetre():
    field = random_field()
    again = SmoothField.from_dict(json.loads(json.dumps(field.to_dict())))
    np.testing.assert_allclose(again.dx_m, field.dx_m, atol=6e-4)
    assert again.spacing_m == field.spacing_m


def test_positions_between_projections_agree_with_those_of_each_pixel():
    correction = Correction(TURNED, random_field())
    x, y = GRID.centre
    x, y = (float(place[0]) for place in between(CTX, LOCAL, [x], [y]))
    source = Grid(LOCAL, Affine(18, 0, x - 1500, 0, -18, y + 1500), 170, 170)
    found = positions_as_written(GRID, correction, source)
    rows, columns = np.indices(GRID.shape)[:, ::23, ::29]
    exact = source.rowcol(*between(CTX, LOCAL, *correction.undo(*GRID.xy(rows, columns))))
    np.testing.assert_allclose(found[:, ::23, ::29], exact, atol=2e-3)


def test_bands_are_laid_where_the_correction_says_and_keep_their_holes():
    """Each band is a parabola in map positions, which a cubic spline renders exactly."""
    correction = Correction(AffineMap.shift(90.0, -60.0), random_field(size_m=4.0))
    left, _, _, top = GRID.bounds
    source = Grid(CTX, Affine(18, 0, left - 500, 0, -18, top + 500), 130, 150)
    x, y = source.xy(*np.indices(source.shape))
    u, v = (x - left) / 1000, (y - top) / 1000
    values = np.stack([u + 0.3 * v**2, u * v]).astype(np.float32)
    values[1, 60, 70] = np.nan
    found = warp(Cube(values, np.array([500.0, 600.0]), source), correction, GRID)
    x, y = correction.undo(*GRID.xy(*np.indices(GRID.shape)))
    u, v = (x - left) / 1000, (y - top) / 1000
    inside = slice(30, -30)
    np.testing.assert_allclose(found[0][inside, inside], (u + 0.3 * v**2)[inside, inside], atol=1e-4)
    lost = np.isfinite(found[0]) & ~np.isfinite(found[1])
    assert 20 < lost.sum() < 60  # four pixels of 3 x 3 around the hole
    hole = np.hypot(*(np.argwhere(lost).T - np.argwhere(lost).mean(0)[:, None])).max()
    assert hole < 6


# Fitting


def measured(field: SmoothField, count: int, noise_px: float, outliers: int = 0):
    rng = stream(9, "points")
    rows, columns = rng.uniform(0, 199, count), rng.uniform(0, 259, count)
    dx, dy = field.displacement(*GRID.xy(rows, columns))
    down, right = (plane / 6 + noise_px * rng.standard_normal(count) for plane in (-dy, dx))
    right[:outliers] += 5
    return Measured(rows, columns, down, right, np.tile([1.0, 0.0, 1.0], (count, 1)))


def wanted() -> SmoothField:
    """A field whose knots are those of the fit: it can be met exactly."""
    lattice = Lattice.over(*GRID.shape, 50.0)
    coefficients = stream(4, "wanted").standard_normal((2, lattice.shape[0] * lattice.shape[1]))
    x, y = GRID.xy(0, 0)
    return to_field(coefficients, lattice, (float(x), float(y)), 6.0)


def test_a_field_is_met_exactly_where_points_have_no_error():
    field, points = wanted(), measured(wanted(), 800, 0.0)
    fitter = Fitter(points, Lattice.over(*GRID.shape, 50.0))
    fit = fitter.fit(1e-9)
    np.testing.assert_allclose(fitter.distances(fit.coefficients), 0, atol=1e-3)
    x, y = GRID.xy(0, 0)
    again = to_field(fit.coefficients, fitter.lattice, (float(x), float(y)), 6.0)
    places = GRID.xy([20.0, 100, 180], [30.0, 128, 220])
    np.testing.assert_allclose(again.displacement(*places), field.displacement(*places), atol=0.02)


def test_outliers_are_named_and_do_not_bend_the_field():
    fitter = Fitter(measured(wanted(), 600, 0.02, outliers=60), Lattice.over(*GRID.shape, 50.0))
    fit = fitter.fit(1e-4)
    assert not fit.inliers[:60].any()
    assert fit.inliers[60:].mean() > 0.97


def test_planes_cost_nothing():
    lattice = Lattice.over(*GRID.shape, 50.0)
    rows, columns = np.indices(lattice.shape)
    plane = (0.3 * rows - 0.2 * columns + 1).ravel()
    assert plane @ lattice.bending() @ plane == pytest.approx(0, abs=1e-9)
    bowl = ((rows - 3.0) ** 2).ravel()
    assert bowl @ lattice.bending() @ bowl > 1
