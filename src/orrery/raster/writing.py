"""Rasters into files: GeoTIFF and cloud-optimised GeoTIFF, atomic, and equal bytes for equal content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.raster.complete import check_complete
from orrery.raster.gdal import GDAL_ERRORS, reason
from orrery.raster.grid import Grid

BLOCK_PX = 256
ZSTD_LEVEL = 9  # level 22 takes 17 times as long for 1 % less on heights


def write(
    path: Path,
    bands: Mapping[str, NDArray[Any]],
    grid: Grid,
    *,
    units: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    dtype: str = "float32",
    compression: Literal["zstd", "lerc"] = "zstd",
    max_error: float = 0.0,
) -> None:
    """Write a tiled GeoTIFF, atomically, with equal bytes for equal input on one version of GDAL.

    Args:
        path: target.
        bands: description -> (H, W) values; NaN is nodata. In a file of integers nodata is 0, and values are
            rounded and clipped to the range of `dtype`.
        grid: where they lie.
        units: band -> unit.
        tags: metadata.
        dtype: of the file.
        compression: lossless zstd, or LERC within `max_error`.
        max_error: largest error that LERC may make, in the bands' unit.

    Raises:
        OrreryError: the place is not writable or the disk is full; nothing is left there.
    """
    floating = np.issubdtype(np.dtype(dtype), np.floating)
    options: dict[str, Any] = {"compress": "ZSTD", "predictor": 3 if floating else 2}
    if compression == "lerc":
        options = {"compress": "LERC_ZSTD", "max_z_error": max_error}
    profile = {
        "driver": "GTiff", "height": grid.height, "width": grid.width, "count": len(bands), "dtype": dtype,
        "crs": grid.crs, "transform": grid.transform, "nodata": float("nan") if floating else 0,
        "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "zstd_level": ZSTD_LEVEL, **options,
    }  # fmt: skip
    with replacing(path) as temporary:
        with _gdal_errors(path), rasterio.open(temporary, "w", **profile) as dataset:
            for number, (name, values) in enumerate(bands.items(), 1):
                dataset.write(_of_type(values, np.dtype(dtype)), number)
                dataset.set_band_description(number, name)
                dataset.set_band_unit(number, (units or {}).get(name, ""))
            dataset.update_tags(**dict(sorted((tags or {}).items())))
        _check_written(temporary, path)


def to_cog(source: Path, target: Path, tags: Mapping[str, str] | None = None) -> None:
    """Copy a raster into a cloud-optimised GeoTIFF with internal overviews, block by block at bounded memory.

    Args:
        source: any raster that GDAL reads; its tags, band names and units are kept.
        target: written atomically.
        tags: further metadata, or other values for the source's.

    Raises:
        OrreryError: the source is damaged, the place not writable or the disk full; nothing is left there.
    """
    with _gdal_errors(source), rasterio.open(source) as dataset:
        floating = dataset.dtypes[0].startswith("float")
    options = {
        "blocksize": BLOCK_PX, "overview_resampling": "AVERAGE",
        "compress": "ZSTD", "level": ZSTD_LEVEL, "predictor": "FLOATING_POINT" if floating else "STANDARD",
    }  # fmt: skip
    with replacing(target) as temporary:
        with _gdal_errors(target), _tagged(source, tags or {}) as name:
            copy_raster(name, temporary, driver="COG", **options)
        _check_written(temporary, target)


@contextmanager
def _tagged(source: Path, tags: Mapping[str, str]) -> Iterator[str]:
    """Name of a virtual raster in memory, `source` with more tags: a COG's can only be given as it is made."""
    with MemoryFile(ext=".vrt") as virtual:
        copy_raster(source, virtual.name, driver="VRT")
        with rasterio.open(virtual.name, "r+") as dataset:
            dataset.update_tags(**dict(sorted(tags.items())))
        yield virtual.name


def _of_type(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(np.nan_to_num(values)), limits.min, limits.max), dtype)


@contextmanager
def _gdal_errors(path: Path) -> Iterator[None]:
    """GDAL's errors as one line that names `path`."""
    try:
        yield
    except GDAL_ERRORS as error:
        problem = f"cannot be read or written ({reason(error, path)})"
        raise OrreryError(
            problem, file=path, remedy="check the path and free space, or make it again"
        ) from error


def _check_written(temporary: Path, path: Path) -> None:
    """GDAL does not tell of a disk that fills up while a file is closed: look whether all is there."""
    with _gdal_errors(path), rasterio.open(temporary) as dataset:
        for band in dataset.indexes:
            check_complete(dataset, band, path)
