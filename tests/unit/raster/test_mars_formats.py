"""Products of Mars in the layouts of their archives, made here: no real ones of these kinds are at hand."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.raster.grid import Grid
from orrery.raster.io import open_windows, read
from tests.unit.raster.raster_files import write_ctx_edr, write_gdal, write_isis

MARS = CRS.from_string("IAU_2015:49910")
CODES = (np.arange(30)[:, None] + np.arange(500) // 8).astype(np.uint8) + 1


def test_a_raw_ctx_frame_with_its_attached_label(tmp_path):
    """Pixels begin at a record, not at a byte; the label tells what and when."""
    path = write_ctx_edr(tmp_path / "P04_002743_1987_XI_18N282W.IMG", CODES)
    raster = read(path, body=None)
    np.testing.assert_array_equal(raster.values, CODES)
    assert raster.tags["PRODUCT_ID"].strip('"') == "P04_002743_1987_XI_18N282W"
    assert raster.tags["START_TIME"].startswith("2007-02-25T13:04:15")
    assert raster.tags["TARGET_NAME"] == "MARS"
    with pytest.raises(OrreryError, match="has no coordinate system; map-project it"):
        read(path, body="mars")


def test_a_truncated_raw_frame_is_refused(tmp_path):
    path = write_ctx_edr(tmp_path / "a.IMG", CODES)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(OrreryError, match="is truncated or damaged"):
        read(path, body=None)


def test_a_calibrated_ctx_map_as_isis_writes_it(tmp_path):
    grid = Grid(MARS, Affine(6, 0, 1000, 0, -6, 2000), 24, 32)
    values = np.linspace(0.05, 0.3, 24 * 32, dtype=np.float32).reshape(24, 32)
    values[0, :5] = np.finfo(np.float32).min  # ISIS's null
    image = read(write_isis(tmp_path / "P04.map.cub", values, grid), body="mars")
    assert image.grid.gsd_m == pytest.approx(6)
    assert image.valid.sum() == values.size - 5
    np.testing.assert_array_equal(image.values[1:], values[1:])
    with pytest.raises(OrreryError, match=r"lies on Mars .*not on Moon"):
        read(tmp_path / "P04.map.cub", body="moon")


def test_a_stereo_camera_dem_in_a_sinusoidal_map(tmp_path):
    """HRSC: integers of a metre with a fill, on the sphere of 3396 km, in a sinusoidal map of its own."""
    sinusoidal = CRS.from_proj4("+proj=sinu +lon_0=77 +R=3396000 +units=m +no_defs")
    grid = Grid(sinusoidal, Affine(75, 0, -1000, 0, -75, 1.1e6), 24, 32)
    heights = (-2600 + np.arange(24)[:, None] * np.ones(32)).astype(np.int16)
    heights[3, 4] = -32768
    dem = read(write_gdal(tmp_path / "h.tif", heights, grid, nodata=-32768), body="mars")
    assert np.isnan(dem.values[3, 4])
    np.testing.assert_array_equal(dem.values[:, 0], heights[:, 0])


@pytest.mark.parametrize("offset_km", [0.0, 1737.4])
def test_kilometres_become_metres(tmp_path, offset_km):
    """SLDEM2015 tells kilometres, as heights or as distances from the centre."""
    grid = Grid(CRS.from_string("IAU_2015:30110"), Affine(60, 0, 0, 0, -60, 0), 20, 20)
    path = write_gdal(tmp_path / "s.tif", np.full((20, 20), -2.6, np.float32), grid)
    with rasterio.open(path, "r+") as dataset:
        dataset.units, dataset.offsets = ("KILOMETER",), (offset_km,)
    np.testing.assert_allclose(read(path).values, -2600, atol=0.2)
    with open_windows(path) as source:
        np.testing.assert_allclose(source.read(2, 3, 4, 5), -2600, atol=0.2)
