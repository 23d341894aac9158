"""Grids and affine corrections against hand figures, construction by pyproj, and their own inverses."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.raster.grid import AffineMap, Grid, check_body, meridian_convergence_deg
from orrery.raster.projections import equirectangular
from tests.unit.raster.raster_files import MOON, NORTH, SOUTH, lunar_grid

RADIUS_M = 1_737_400
metres = st.floats(-5e6, 5e6)
pixels = st.floats(-1e4, 1e4)


def test_a_grid_comes_whole_from_another_process():
    window = Grid(equirectangular("mars", -2.0), Affine(6, 0, 0, 0, -6, 0), 40, 30).window(3, 4, 20, 10)
    sent = pickle.loads(pickle.dumps(window))
    assert sent == window
    assert sent.crs.to_wkt(version="WKT2_2019") == window.crs.to_wkt(version="WKT2_2019")
    assert sent._whole == window._whole
    camera = Grid(CRS(), Affine.identity(), 4, 5)
    assert pickle.loads(pickle.dumps(camera)) == camera


@st.composite
def grids(draw):
    """Grids of 0.3-200 m pixels anywhere on a map, rotated and sheared."""
    gsd, aspect = draw(st.floats(0.3, 200)), draw(st.floats(0.5, 2))
    place = Affine.translation(draw(metres), draw(metres)) * Affine.rotation(draw(st.floats(-180, 180)))
    transform = place * Affine.shear(draw(st.floats(-30, 30)), 0) * Affine.scale(gsd * aspect, -gsd)
    return Grid(MOON, transform, draw(st.integers(1, 3000)), draw(st.integers(1, 3000)))


@st.composite
def maps(draw):
    """Corrections of the size that alignment finds, and ten times that."""
    small = st.floats(-0.2, 0.2)
    matrix = ((1 + draw(small), draw(small)), (draw(small), 1 + draw(small)))
    shift = draw(st.floats(-3000, 3000)), draw(st.floats(-3000, 3000))
    return AffineMap(matrix, shift, (draw(metres), draw(metres)))


def test_integer_pixels_are_centres():
    grid = lunar_grid(gsd_m=5)
    assert grid.xy(0, 0) == (1002.5, 1997.5)
    assert grid.xy(2, 3) == (1017.5, 1987.5)
    assert grid.bounds == (1000, 1880, 1160, 2000)
    assert grid.centre == (1080, 1940)


def test_gsd_of_a_rotated_oblong_pixel_is_the_geometric_mean():
    assert Grid(MOON, Affine.rotation(30) * Affine.scale(2, -8), 5, 5).gsd_m == pytest.approx(4)


@given(grid=grids(), row=pixels, column=pixels)
def test_rowcol_is_the_inverse_of_xy(grid, row, column):
    found = grid.rowcol(*grid.xy(row, column))
    np.testing.assert_allclose(found, (row, column), atol=1e-6, rtol=0)


@given(
    grid=grids(),
    first=st.tuples(*[st.integers(-500, 5000)] * 2),
    inner=st.tuples(*[st.integers(-50, 50)] * 2),
)
def test_a_pixel_has_the_same_place_in_a_window_bit_for_bit(grid, first, inner):
    part = grid.window(*first, 40, 30).window(*inner, 7, 9)
    row, column = first[0] + inner[0], first[1] + inner[1]
    assert part.xy(3, 4) == grid.xy(row + 3, column + 4)
    np.testing.assert_allclose(part.transform * (0.5, 0.5), grid.xy(row, column), rtol=0, atol=1e-6)
    assert part.shape == (7, 9)


def test_a_window_equals_the_same_grid_made_directly():
    part = lunar_grid(gsd_m=5).window(2, 3, 4, 6)
    assert part == Grid(MOON, Affine(5, 0, 1015, 0, -5, 1990), 4, 6)


@given(grid=grids(), correction=maps(), row=pixels, column=pixels)
def test_moved_grid_has_its_pixels_where_the_map_takes_them(grid, correction, row, column):
    moved = correction.moved(grid)
    expected = correction.apply(*grid.xy(row, column))
    np.testing.assert_allclose(moved.xy(row, column), expected, rtol=0, atol=1e-5)
    assert (moved.shape, moved.crs) == (grid.shape, grid.crs)


def test_moving_a_window_is_the_window_of_the_moved():
    correction, grid = AffineMap(((1, 1e-4), (-1e-4, 1)), (31.7, -8.3), (1e6, 2e6)), lunar_grid()
    window = (3, 4, 5, 6)
    assert correction.moved(grid.window(*window)).xy(1, 2) == correction.moved(grid).window(*window).xy(1, 2)


@given(correction=maps(), x=metres, y=metres)
def test_inverse_undoes(correction, x, y):
    back = correction.inverse().apply(*correction.apply(x, y))
    np.testing.assert_allclose(back, (x, y), rtol=0, atol=1e-6)


@given(first=maps(), then=maps(), x=metres, y=metres)
def test_compose_is_one_after_the_other(first, then, x, y):
    at_once = then.compose(first).apply(x, y)
    np.testing.assert_allclose(at_once, then.apply(*first.apply(x, y)), rtol=0, atol=1e-6)


@given(correction=maps())
def test_map_survives_json_exactly(correction):
    assert AffineMap.from_dict(json.loads(json.dumps(correction.to_dict()))) == correction


def test_shift_is_the_correction_at_the_centre():
    turned = AffineMap(((0, -1), (1, 0)), (7, 9), (100, 200))
    assert turned.apply(100, 200) == (107, 209)
    assert turned.apply(110, 200) == (107, 219)  # ten to the right of the centre become ten above it
    assert AffineMap.shift(3, 4).apply(1, 1) == (4, 5)
    assert AffineMap.identity().apply(1, 2) == (1, 2)


@pytest.mark.parametrize(
    "crs", ["IAU_2015:30100", "IAU_2015:30110", "IAU_2015:30135", "+proj=eqc +R=1737000"]
)
def test_lunar_systems_pass(crs):
    check_body(CRS.from_string(crs), "moon", "a.tif")


@pytest.mark.parametrize(
    ("crs", "complaint"),
    [
        ("EPSG:4326", "Earth"),
        ("EPSG:32633", "Earth"),
        ("IAU_2015:49910", "Mars"),
        ("IAU_2015:59900", "Jupiter"),
        ("+proj=eqc +R=2439400", "another body"),
    ],
)
def test_other_bodies_are_refused_by_name(crs, complaint):
    with pytest.raises(
        OrreryError, match=rf"a\.tif: lies on {complaint} .*not on Moon; give a raster of Moon"
    ):
        check_body(CRS.from_string(crs), "moon", "a.tif")


@pytest.mark.parametrize("crs", [None, CRS()])
def test_a_missing_system_is_refused(crs):
    with pytest.raises(OrreryError, match=r"a\.tif: has no coordinate system; .*IAU_2015"):
        check_body(crs, "mars", "a.tif")


def _at(crs: CRS, longitude: float, latitude: float, rotation_deg: float = 0.0) -> Grid:
    """A 101 x 101 grid of 1 m, turned by `rotation_deg` counter-clockwise, whose middle is at a place."""
    to_map = pyproj.Transformer.from_crs("+proj=longlat +R=1737400", crs.to_wkt(), always_xy=True)
    x, y = to_map.transform(longitude, latitude)
    middle = Affine.translation(x, y) * Affine.rotation(rotation_deg)
    return Grid(crs, middle * Affine.translation(-50.5, 50.5) * Affine.scale(1, -1), 101, 101)


@pytest.mark.parametrize("longitude", [-170, -90, -5.77, 0, 30, 135])
def test_convergence_on_polar_maps_is_the_longitude(longitude):
    assert meridian_convergence_deg(_at(SOUTH, longitude, -85)) == pytest.approx(longitude, abs=1e-4)
    assert meridian_convergence_deg(_at(NORTH, longitude, 85)) == pytest.approx(-longitude, abs=1e-4)


@pytest.mark.parametrize(("longitude", "latitude"), [(3, 40), (-3, 40), (3, -40), (0, 20)])
def test_convergence_on_a_transverse_mercator_map_follows_snyder(longitude, latitude):
    """Snyder (1987), USGS PP 1395, ch. 8: the meridian leans from grid north by atan(tan(longitude) sin(latitude))."""
    crs = CRS.from_proj4(f"+proj=tmerc +lat_0=0 +lon_0=0 +R={RADIUS_M} +units=m")
    lean = np.degrees(np.arctan(np.tan(np.radians(longitude)) * np.sin(np.radians(latitude))))
    assert meridian_convergence_deg(_at(crs, longitude, latitude)) == pytest.approx(-lean, abs=1e-4)


def test_convergence_counts_the_rotation_of_the_image():
    straight = meridian_convergence_deg(_at(MOON, 10, 5))
    turned = meridian_convergence_deg(_at(MOON, 10, 5, rotation_deg=25))
    assert straight == pytest.approx(0, abs=1e-4)
    assert turned == pytest.approx(25, abs=1e-4)  # image up leans to the west, so north is to the right of it


def test_going_north_in_a_polar_image_goes_where_the_convergence_says():
    grid = _at(SOUTH, -5.77, -85)
    to_map = pyproj.Transformer.from_crs("+proj=longlat +R=1737400", SOUTH.to_wkt(), always_xy=True)
    row, column = grid.rowcol(*to_map.transform(-5.77, -85 + 30 / RADIUS_M * 180 / np.pi))
    angle = np.radians(meridian_convergence_deg(grid))
    expected = 50 - 30 * np.cos(angle), 50 + 30 * np.sin(angle)
    np.testing.assert_allclose(
        (row, column), expected, atol=0.3
    )  # the map's scale at 85 S is .998 of that at the pole


def test_the_north_pole_itself_has_a_finite_convergence():
    assert -180 <= meridian_convergence_deg(_at(NORTH, 0, 90)) <= 180


def test_footprint_runs_round_the_outline_in_degrees():
    degree_m = RADIUS_M * np.pi / 180
    grid = Grid(MOON, Affine(degree_m / 10, 0, 20 * degree_m, 0, -degree_m / 10, 8 * degree_m), 30, 20)
    ring = np.array(grid.footprint()["coordinates"][0])
    np.testing.assert_allclose(ring, [(20, 8), (20, 5), (22, 5), (22, 8), (20, 8)], atol=1e-6)


def test_footprint_goes_on_across_the_far_meridian():
    crs = CRS.from_proj4(f"+proj=eqc +lon_0=180 +R={RADIUS_M} +units=m")
    degree_m = RADIUS_M * np.pi / 180
    grid = Grid(crs, Affine(degree_m, 0, -2 * degree_m, 0, -degree_m, degree_m), 2, 4)
    longitudes = np.array(grid.footprint()["coordinates"][0])[:, 0]
    assert np.ptp(longitudes) == pytest.approx(4)


def test_a_grid_in_camera_geometry_has_no_convergence():
    with pytest.raises(OrreryError, match="coordinate system"):
        meridian_convergence_deg(Grid(CRS(), Affine.identity(), 5, 5))
