"""Rasters onto other grids: GDAL's warper between projections, a cubic spline for coarse heights."""

from __future__ import annotations

from typing import Literal

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import Resampling, calculate_default_transform, reproject
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.raster.gdal import GDAL_ERRORS, reason
from orrery.raster.grid import RADIUS_M, Body, Floats, Grid
from orrery.raster.raster import Array, Raster

Method = Literal["nearest", "bilinear", "cubic", "average"]
WARP_TOLERANCE_PX = (
    0.01  # of approximating a projection; GDAL's default 0.125 is no less than what alignment leaves
)
SPLINE_DEGREE = 3
POLAR_LATITUDE_DEG = 60.0  # beyond it an equirectangular map shears too much over one image


def resample(raster: Raster, grid: Grid, *, method: Method = "cubic") -> Raster:
    """The raster on another grid, in any projection of the same body; (H, W) of `grid`.

    Args:
        raster: values with NaN where invalid; invalid pixels get no weight.
        grid: may be rotated, and may reach beyond the raster (NaN there).
        method: "average" for reductions, else "cubic".

    Raises:
        OrreryError: there is no transformation between the two coordinate systems.
    """
    out = np.full(grid.shape, np.nan, np.float32)
    try:
        reproject(
            raster.values, out, resampling=Resampling[method],
            src_transform=raster.grid.transform, src_crs=raster.grid.crs, src_nodata=np.nan,
            dst_transform=grid.transform, dst_crs=grid.crs, dst_nodata=np.nan, **kernel(raster.grid, grid),
        )  # fmt: skip
    except GDAL_ERRORS as error:
        raise OrreryError(
            f"no way from one coordinate system to another ({reason(error)})",
            remedy="give rasters of one body, each with a projection that covers the other's area",
        ) from error
    return Raster(out, grid, raster.tags)


def kernel(source: Grid, target: Grid) -> dict[str, float]:
    """Options that fix how far GDAL stretches its kernel, and how well it follows a projection.

    Left alone, it guesses the stretch from the extents of the two arrays: a window would not fit the whole, and a
    raster that only partly covers the target would be blurred.
    """
    if source.crs.is_geographic or target.crs.is_geographic:
        return {"tolerance": WARP_TOLERANCE_PX}  # degrees have no one ratio to metres
    scale = source.gsd_m / target.gsd_m
    return {"tolerance": WARP_TOLERANCE_PX, "XSCALE": scale, "YSCALE": scale}


def to_metres(raster: Raster, body: Body) -> Raster:
    """A raster in degrees on a local map in metres: equirectangular, true to scale at the middle latitude.

    Beyond 60 degrees of latitude it is polar stereographic, with the middle meridian upright.
    """
    left, bottom, right, top = raster.grid.bounds
    longitude, latitude = (left + right) / 2, (bottom + top) / 2
    projection = f"+proj=eqc +lat_ts={latitude:.6f} +lon_0={longitude:.6f}"
    if abs(latitude) > POLAR_LATITUDE_DEG:
        projection = f"+proj=stere +lat_0={np.copysign(90, latitude):.0f} +lon_0={longitude:.6f} +k=1"
    crs = CRS.from_proj4(f"{projection} +R={RADIUS_M[body]} +units=m +no_defs")
    transform, width, height = calculate_default_transform(
        raster.grid.crs, crs, raster.grid.width, raster.grid.height, left, bottom, right, top
    )
    return resample(raster, Grid(crs, transform, height, width), method="cubic")


def upsample(coarse: Raster, grid: Grid) -> Array:
    """A coarse DEM interpolated onto any grid of the same CRS; for many windows of one DEM keep its `Spline`.

    Args:
        coarse: heights in m, NaN where unknown; its geotransform may be rotated.
        grid: whole, or a `Grid.window`, which gives bit for bit the values of the whole.

    Returns:
        (H, W) of `grid`; NaN where the coarse DEM does not reach, and where its nearest posting is unknown.
    """
    return Spline(coarse).on(grid)


class Spline:
    """A coarse raster as interpolating cubic B-spline, filtered once (Unser 1999, IEEE SPM 16(6):22)."""

    def __init__(self, coarse: Raster) -> None:
        self.grid = coarse.grid
        known = coarse.valid
        heights = coarse.values.astype(np.float64)
        if not known.any():
            raise OrreryError("a coarse raster holds no valid pixel", remedy="give one that covers the image")
        if not known.all():
            nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
            heights = heights[tuple(nearest)]
        self.coefficients = ndimage.spline_filter(heights, order=SPLINE_DEGREE, mode="mirror")
        self.known = known

    def on(self, grid: Grid) -> Array:
        """The spline at the pixel centres of `grid`, (H, W), as `upsample` gives it.

        Raises:
            OrreryError: the grids have different coordinate systems.
        """
        if grid.crs != self.grid.crs:
            problem = "a coarse raster has another coordinate system than the image"
            raise OrreryError(problem, remedy="resample it into that first")
        positions = grid.positions_in(self.grid)
        values: Array = ndimage.map_coordinates(
            self.coefficients, positions, np.float32, SPLINE_DEGREE, mode="mirror", prefilter=False
        )
        if not (self.known.all() and _within(positions, self.known.shape)):
            nearest_known = ndimage.map_coordinates(self.known, positions, order=0, mode="grid-constant")
            values[~nearest_known] = np.nan
        return values


def _within(positions: Floats, shape: tuple[int, int]) -> bool:
    """Whether every position has a posting within half a pixel: as the corners have, since the map is affine."""
    corners = positions[:, :: max(positions.shape[1] - 1, 1), :: max(positions.shape[2] - 1, 1)]
    return all(((axis > -0.5) & (axis < size - 0.5)).all() for axis, size in zip(corners, shape, strict=True))
