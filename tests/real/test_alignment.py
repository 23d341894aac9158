"""Alignment on real images: a NAC frame with its stereo DEM near the pole, a Kaguya frame with a rendered hillshade."""

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from orrery.instruments.photometry import Sun
from orrery.raster.align import displacement
from orrery.raster.grid import AffineMap, Grid, meridian_convergence_deg
from orrery.raster.io import Raster, read
from orrery.raster.windows import block_means
from orrery.systems.lunar_dtm.align import AlignParams, register_to_dem
from orrery.systems.lunar_dtm.view import levelled

pytestmark = pytest.mark.real

SUN_TRUE_NORTH = (-5.43, 6.55)  # of the products' log, degrees


@pytest.fixture
def polar(shared_data):
    """NAC frame M139939938LE and its stereo DEM, which lie on one grid."""
    folder = shared_data / "moon" / "nac_m139939938le_85s"
    image = read(folder / "run-M139939938LE-final-meas-intensity.tif")
    return image, read(folder / "run-crop-DEM.tif")


def coarsened(dem: Raster, posting_m: float) -> Raster:
    """Block means of about a posting."""
    factor = round(posting_m / dem.grid.gsd_m)
    height, width = (length // factor for length in dem.grid.shape)
    grid = Grid(dem.grid.crs, dem.grid.transform * Affine.scale(factor), height, width)
    return Raster(block_means(dem.values[: height * factor, : width * factor], factor), grid)


def found_shift(image: Raster, dem: Raster) -> tuple[np.ndarray, dict[str, float]]:
    azimuth, elevation = SUN_TRUE_NORTH
    sun = Sun((azimuth + meridian_convergence_deg(image.grid)) % 360, elevation)
    found = register_to_dem(image, dem, sun, AlignParams(), 1)
    return np.subtract(found.map.apply(*image.grid.centre), image.grid.centre), found.row


@pytest.mark.parametrize("start_m", [(0, 0), (40, 20), (-60, 30)])
def test_a_nac_frame_finds_its_stereo_dem_coarsened_to_60_m(polar, start_m):
    """Seven by eight postings and a sun at 6.5 degrees: the place is found to a few metres, and the row says as much."""
    image, dem = polar
    coarse = coarsened(dem, 60)
    moved = Raster(coarse.values, AffineMap.shift(*start_m).moved(coarse.grid))
    shift_m, row = found_shift(image, moved)
    error_m = float(np.hypot(*(shift_m + start_m)))
    assert error_m < 0.2 * 60
    assert error_m < 3 * row["expected_error_m"]
    assert 3 < row["expected_error_m"] < 20


def test_a_finer_dem_is_found_to_a_few_metres_by_tie_points_too(polar):
    image, dem = polar
    coarse = coarsened(dem, 30)
    moved = Raster(coarse.values, AffineMap.shift(-60, 30).moved(coarse.grid))
    shift_m, row = found_shift(image, moved)
    assert np.hypot(*np.add(shift_m, (-60, 30))) < 4
    assert row["tie_points_used"] >= 6
    assert row["ncc_after"] > row["ncc_before"] + 0.1


def test_a_kaguya_frame_is_found_in_a_hillshade(shared_data):
    """The pair of JPL's landmark tools is 51 rows and 3 columns apart, half of it in shadow."""
    folder = shared_data / "moon" / "kaguya_tc_vs_hillshade"
    image, render = (
        np.asarray(Image.open(folder / f"{name}.pgm"), np.float32)
        for name in ("kaguya_intensity", "hillshade_intensity")
    )
    reach = 100
    inner = levelled(image, 60)[reach:-reach, reach:-reach]
    down, right, score = displacement(levelled(render, 60), inner)
    assert (down - reach, right - reach) == pytest.approx((51, 3), abs=1)
    assert score > 0.55
