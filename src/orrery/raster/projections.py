"""Map projections that grids are made on."""

from __future__ import annotations

from functools import lru_cache

import pyproj
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import EquidistantCylindricalConversion
from rasterio.crs import CRS

from orrery.raster.grid import Body

LATITUDE_LONGITUDE: dict[Body, str] = {"moon": "IAU_2015:30100", "mars": "IAU_2015:49900"}


@lru_cache(maxsize=64)
def equirectangular(body: Body, latitude_deg: float) -> CRS:
    """Equirectangular projection of an IAU 2015 sphere that is true to scale at a latitude."""
    conversion = EquidistantCylindricalConversion(latitude_first_parallel=latitude_deg)
    projected = ProjectedCRS(
        conversion,
        name=f"{body.capitalize()} (2015) equirectangular {latitude_deg:g}",
        geodetic_crs=pyproj.CRS(LATITUDE_LONGITUDE[body]),
    )
    return CRS.from_wkt(projected.to_wkt())
