"""Co-registration of real images: five THEMIS bands that were never registered, CTX crops under a known warp."""

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from scipy import ndimage

from orrery.raster.align import CoregistrationOptions, Correction, SmoothField, coregister
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, read
from orrery.seeds import stream

pytestmark = pytest.mark.real

MARS = CRS.from_string("IAU_2015:49910")


# Rows and columns by which template matching finds bands 1, 2 and 4 off band 3 (SOURCES.md beside the data).
@pytest.mark.parametrize(("band", "rows", "columns"), [(1, -21, -16), (2, 58, 30), (4, 32, 15)])
def test_themis_bands_are_brought_together(shared_data, band, rows, columns):
    path = shared_data / "mars" / "multiband" / "themis_V00821003RDR_cropped.QUB"
    grid = Grid(MARS, Affine(18, 0, 0, 0, -18, 0), 200, 1024)
    moving, reference = (Raster(read(path, body=None, band=number).values, grid) for number in (band, 3))
    found = coregister(
        moving, reference, CoregistrationOptions(shift_m=900.0, rotation_deg=0.1, stretch=0.002)
    )
    used = found.points.where(found.inliers)
    down = -np.median(used.reference_y_m - used.source_y_m) / 18
    right = np.median(used.reference_x_m - used.source_x_m) / 18
    assert (-down, -right) == pytest.approx((rows, columns), abs=2.5)
    assert found.valid_share > 0.8
    if band != 1:  # haze: NCC of .5 to .6 with band 3 at best
        assert found.residual_px < 0.5


def test_the_band_that_is_mostly_null_is_told(shared_data):
    path = shared_data / "mars" / "multiband" / "themis_V00821003RDR_cropped.QUB"
    grid = Grid(MARS, Affine(18, 0, 0, 0, -18, 0), 200, 1024)
    moving, reference = (Raster(read(path, body=None, band=number).values, grid) for number in (5, 3))
    found = coregister(moving, reference, CoregistrationOptions())
    assert found.inliers.sum() < 40
    assert not found.residual_px < 1


@pytest.mark.parametrize("letter", ["B", "E"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_ctx_crop_under_a_known_warp_is_recovered(shared_data, letter, sign):
    """An affine map, a warp of up to 3 px, blur to 18 m, noise; contrast as it is and inverted."""
    scene = np.asarray(
        Image.open(shared_data / "mars" / "ctx" / "mc11e" / f"MC11E-{letter}.png").convert("L"), np.float32
    )
    grid = Grid(MARS, Affine(6, 0, 0, 0, -6, 0), 600, 600)
    noise = ndimage.gaussian_filter(stream(8, letter).standard_normal((2, 14, 14)), (0, 1.2, 1.2))
    field = SmoothField(-1200, 1200, 500.0, *(18 * noise / np.abs(noise).max()))
    truth = Correction(AffineMap(((1.001, 0.001), (-0.001, 0.999)), (200.0, -150.0), grid.centre), field)
    coarse = Grid(MARS, Affine(18, 0, 0, 0, -18, 0), 190, 190)
    x, y = coarse.xy(*np.indices(coarse.shape))
    rows, columns = grid.rowcol(*truth.apply(x, y))
    values = ndimage.map_coordinates(
        ndimage.gaussian_filter(scene, 1.3), [rows + 700, columns + 700], order=3
    )
    values = sign * (values + 0.03 * values.std() * stream(8, "noise").standard_normal(values.shape))
    moving = Raster(values.astype(np.float32), coarse)
    found = coregister(moving, Raster(scene[700:1300, 700:1300], grid), CoregistrationOptions())
    inside = (rows > 20) & (rows < 580) & (columns > 20) & (columns < 580)
    error_px = np.hypot(*np.subtract(found.correction.apply(x, y), truth.apply(x, y)))[inside] / 6
    rms_px = float(np.sqrt(np.mean(error_px**2)))
    assert rms_px < 0.2
    assert found.residual_px > 0.8 * rms_px
    assert found.residual_px < 1
    assert found.valid_share > 0.9
