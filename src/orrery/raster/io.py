"""Rasters in and out of files: GeoTIFF/COG, PDS3 and ISIS through GDAL, with one clear error each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.shutil import copy as copy_raster
from rasterio.warp import Resampling, calculate_default_transform, reproject
from rasterio.windows import Window
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.raster.grid import RADIUS_M, Grid, check_body

os.environ.setdefault("GDAL_PAM_ENABLED", "NO")  # a side-car beside a raw product would look like a changed product
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)  # check_body says it, with the remedy

Array = NDArray[np.float32]
SMALLEST_SPECIAL = -3.4e38  # ISIS and ASP mark nodata of floats at the bottom of their range
SAMPLE_DEGREE = 3


@dataclass(frozen=True)
class Raster:
    """One band with its place.

    Attributes:
        values: (H, W) float32, NaN invalid.
        grid: where it lies.
        tags: metadata of the file.
    """

    values: Array
    grid: Grid
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W) where there is a value."""
        return np.isfinite(self.values)


@dataclass(frozen=True)
class Source:
    """An open raster, read window by window."""

    path: Path
    dataset: Any
    band: int
    grid: Grid

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """(height, width) float32 from (row, column) on, which may reach beyond the raster; NaN where there is none."""
        out = np.full((height, width), np.nan, np.float32)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + height, self.grid.height), min(column + width, self.grid.width)
        if bottom > top and right > left:
            window = Window.from_slices((top, bottom), (left, right))
            out[top - row : bottom - row, left - column : right - column] = _values(self.dataset, self.band, window, self.path)
        return out


def read(path: Path, *, body: str = "moon", band: int = 1, reproject_to_metres: bool = False) -> Raster:
    """Read a band whole.

    Raises:
        OrreryError: missing, truncated, empty, of another body, without coordinates, all nodata, or in degrees.
    """
    with _opened(path) as dataset:
        check_body(dataset.crs, body, path)
        _check_band(dataset, band, path)
        values = _values(dataset, band, None, path)
        grid, tags = _grid(dataset), dict(dataset.tags())
    raster = Raster(values, grid, tags)
    if not raster.valid.any():
        raise OrreryError("holds no valid pixel", file=path, remedy="give another band (--image-band, --dem-band) or file")
    if grid.crs.is_geographic:
        if not reproject_to_metres:
            raise _degrees(path)
        raster = _to_metres(raster, body)
    return raster


@contextmanager
def open_windows(path: Path, *, body: str = "moon", band: int = 1) -> Iterator[Source]:
    """Open a band for reading by windows, at bounded memory.

    Raises:
        OrreryError: as `read`, but for what only reading everything shows.
    """
    with _opened(path) as dataset:
        check_body(dataset.crs, body, path)
        _check_band(dataset, band, path)
        grid = _grid(dataset)
        if grid.crs.is_geographic:
            raise _degrees(path)
        yield Source(path, dataset, band, grid)


def write(
    path: Path,
    bands: Mapping[str, NDArray[Any]],
    grid: Grid,
    *,
    units: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    dtype: str = "float32",
    compression: Literal["zstd", "lerc"] = "zstd",
    max_error: float | None = None,
) -> None:
    """Write a tiled GeoTIFF, atomically and with equal bytes for equal input.

    Args:
        path: target.
        bands: name -> (H, W); NaN becomes nodata (NaN for floats, 0 for integers).
        grid: where they lie.
        units: name -> unit.
        tags: metadata.
        dtype: of the file.
        compression: lossless zstd, or LERC with `max_error`.
        max_error: largest error that LERC may make, in the bands' unit.
    """
    floating = np.issubdtype(np.dtype(dtype), np.floating)
    options: dict[str, Any] = {"compress": "ZSTD", "predictor": 3 if floating else 2, "zstd_level": 22}
    if compression == "lerc":
        options = {"compress": "LERC_ZSTD", "max_z_error": max_error or 0, "zstd_level": 22}
    profile = {
        "driver": "GTiff", "height": grid.height, "width": grid.width, "count": len(bands), "dtype": dtype,
        "crs": grid.crs, "transform": grid.transform, "nodata": float("nan") if floating else 0,
        "tiled": True, "blockxsize": 256, "blockysize": 256, **options,
    }  # fmt: skip
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile) as dataset:
        for number, (name, values) in enumerate(bands.items(), 1):
            filled = values if floating else np.nan_to_num(np.asarray(values), nan=0.0)
            dataset.write(np.asarray(filled).astype(dtype), number)
            dataset.set_band_description(number, name)
            dataset.set_band_unit(number, (units or {}).get(name, ""))
        dataset.update_tags(**(tags or {}))


def to_cog(source: Path, target: Path) -> None:
    """Copy a GeoTIFF into a cloud-optimised one with overviews, tags kept, at bounded memory."""
    with rasterio.open(source) as dataset:
        predictor = "FLOATING_POINT" if dataset.dtypes[0].startswith("float") else "STANDARD"
    options = {"BLOCKSIZE": 256, "COMPRESS": "ZSTD", "PREDICTOR": predictor, "OVERVIEW_RESAMPLING": "AVERAGE"}
    with replacing(target) as temporary:
        copy_raster(source, temporary, driver="COG", **options)


def resample(
    raster: Raster, grid: Grid, *, method: Literal["nearest", "bilinear", "cubic", "average"] = "cubic"
) -> Raster:
    """The raster on another grid, of the same body; NaN where it does not reach."""
    out = np.full(grid.shape, np.nan, np.float32)
    reproject(
        raster.values, out, src_transform=raster.grid.transform, src_crs=raster.grid.crs, src_nodata=np.nan,
        dst_transform=grid.transform, dst_crs=grid.crs, dst_nodata=np.nan, resampling=Resampling[method],
    )  # fmt: skip
    return Raster(out, grid, raster.tags)


def upsample(coarse: Raster, grid: Grid) -> Array:
    """Cubic-spline interpolation of a coarse DEM onto any grid of the same CRS, (H, W).

    A window gives the same values as the whole; geotransforms may be rotated. NaN where the coarse DEM does not reach.
    """
    return Spline(coarse).on(grid)


class Spline:
    """A coarse DEM as a cubic spline, to be evaluated on many windows."""

    def __init__(self, coarse: Raster) -> None:
        self.grid = coarse.grid
        known = coarse.valid
        filled = coarse.values.astype(np.float64)
        if not known.all():
            nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
            filled = filled[tuple(nearest)]
        self.coefficients = ndimage.spline_filter(filled, order=SAMPLE_DEGREE, mode="mirror")
        self.known = None if known.all() else known.astype(np.float64)

    def on(self, grid: Grid) -> Array:
        """(H, W) on `grid`."""
        index = ~self.grid.transform * grid.transform
        rows, columns = np.arange(grid.height) + 0.5, np.arange(grid.width) + 0.5
        row = (index.e * rows + index.f)[:, None] + (index.d * columns)[None] - 0.5
        column = (index.b * rows + index.c)[:, None] + (index.a * columns)[None] - 0.5
        places = np.stack([row, column])
        values = ndimage.map_coordinates(
            self.coefficients, places, order=SAMPLE_DEGREE, mode="mirror", prefilter=False
        ).astype(np.float32)
        outside = (row < -0.5) | (row > self.grid.height - 0.5) | (column < -0.5) | (column > self.grid.width - 0.5)
        if self.known is not None:
            outside |= ndimage.map_coordinates(self.known, places, order=1, mode="nearest") < 0.5
        values[outside] = np.nan
        return values


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.exists():
        raise OrreryError("does not exist", file=path, remedy="check the path")
    try:
        dataset = rasterio.open(path)
    except RasterioError as error:
        raise OrreryError(
            f"is no readable raster ({' '.join(str(error).split())})",
            file=path,
            remedy="fetch or export it again; a PDS image needs its label beside it",
        ) from error
    with dataset:
        yield dataset


def _values(dataset: Any, band: int, window: Window | None, path: Path) -> Array:
    try:
        raw = dataset.read(band, window=window, masked=True)
    except RasterioError as error:
        raise OrreryError("is truncated or damaged", file=path, remedy="fetch or export it again") from error
    scale, offset = dataset.scales[band - 1], dataset.offsets[band - 1]
    values = np.ma.filled(raw.astype(np.float64), np.nan)
    values[~np.isfinite(values) | (values <= SMALLEST_SPECIAL)] = np.nan
    return (values * scale + offset).astype(np.float32)


def _grid(dataset: Any) -> Grid:
    return Grid(dataset.crs, dataset.transform, dataset.height, dataset.width)


def _check_band(dataset: Any, band: int, path: Path) -> None:
    if not 1 <= band <= dataset.count:
        raise OrreryError(f"has no band {band}", file=path, remedy=f"give a band from 1 to {dataset.count}")
    if not all(np.isfinite(dataset.transform)) or dataset.transform.determinant == 0:
        raise OrreryError("has a broken geotransform", file=path, remedy="export it again")


def _degrees(path: Path) -> OrreryError:
    return OrreryError(
        "lies on a grid of degrees, where metres are needed",
        file=path,
        remedy="project it first, e.g. gdalwarp -t_srs IAU_2015:30110 IN OUT",
    )


def _to_metres(raster: Raster, body: str) -> Raster:
    """Onto an equirectangular grid, true to scale at the raster's middle latitude."""
    left, bottom, right, top = raster.grid.bounds
    crs = rasterio.crs.CRS.from_proj4(
        f"+proj=eqc +lat_ts={(bottom + top) / 2:.6f} +lon_0={(left + right) / 2:.6f} +R={RADIUS_M[body]} +units=m +no_defs"
    )
    grid = raster.grid
    transform, width, height = calculate_default_transform(
        grid.crs, crs, grid.width, grid.height, left, bottom, right, top
    )
    return resample(raster, Grid(crs, transform, height, width), method="bilinear")
