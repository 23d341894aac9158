"""Parts of large rasters around an area in another projection."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.raster.cropping import crop
from orrery.raster.grid import RADIUS_M, Grid
from orrery.raster.io import resample
from tests.unit.raster.raster_files import write_gdal

METRES = CRS.from_string("IAU_2015:49910")
DEGREES = CRS.from_string("IAU_2015:49900")
PER_DEGREE = RADIUS_M["mars"] * np.pi / 180


def world(path, crs, west_deg):
    """A global map of quarter degrees, whose value is latitude times 1000 plus longitude from -180 to 180."""
    step = 0.25 if crs is DEGREES else 0.25 * PER_DEGREE
    left = west_deg if crs is DEGREES else west_deg * PER_DEGREE
    latitude = 89.875 - 0.25 * np.arange(720)[:, None]
    longitude = (west_deg + 0.125 + 0.25 * np.arange(1440) + 180) % 360 - 180
    values = (1000 * latitude + longitude).astype(np.float32)
    return write_gdal(path, values, Grid(crs, Affine(step, 0, left, 0, -step, 360 * step), 720, 1440))


@pytest.mark.parametrize("crs", [METRES, DEGREES], ids=["metres", "degrees"])
@pytest.mark.parametrize("west_deg", [-180, 0])
@pytest.mark.parametrize("longitude_deg", [-33.4, 77.6])
def test_the_part_holds_the_area_however_longitudes_are_counted(tmp_path, crs, west_deg, longitude_deg):
    path = world(tmp_path / "world.tif", crs, west_deg)
    place = CRS.from_proj4(f"+proj=stere +lat_0=-24 +lon_0={longitude_deg} +R=3396190 +units=m +no_defs")
    area = Grid(place, Affine(2000, 0, -30e3, 0, -2000, 30e3), 30, 30)
    part = crop(path, "mars", area, 60e3)
    assert part.values.size < 40 * 40
    there = resample(part, area, method="bilinear")
    assert there.valid.all()
    middle = there.values[14:16, 14:16].mean()
    assert middle == pytest.approx(-24_000 + longitude_deg, abs=3)


def test_what_lies_elsewhere_is_refused(tmp_path):
    grid = Grid(METRES, Affine(100, 0, 0, 0, -100, 0), 20, 20)
    path = write_gdal(tmp_path / "a.tif", np.ones((20, 20), np.float32), grid)
    away = Grid(METRES, Affine(100, 0, 5e5, 0, -100, 5e5), 20, 20)
    with pytest.raises(OrreryError, match=r"a\.tif: covers none of the area"):
        crop(path, "mars", away, 1000)


def test_camera_geometry_is_refused(tmp_path):
    grid = Grid(CRS(), Affine.identity(), 20, 20)
    path = write_gdal(tmp_path / "a.tif", np.ones((20, 20), np.float32), grid, crs=None)
    with pytest.raises(OrreryError, match="has no coordinate system; map-project it"):
        crop(path, "mars", Grid(METRES, Affine(100, 0, 0, 0, -100, 0), 20, 20), 1000)
