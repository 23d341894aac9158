"""Rasters into files: GeoTIFF, atomic, and equal bytes for equal content. Large products: `cog.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.raster.complete import check_complete
from orrery.raster.gdal import GDAL_ERRORS, reason
from orrery.raster.grid import Grid

BLOCK_PX = 256
BANDS_TOGETHER = 8  # with more, a block of all bands (128 MB for 489) outgrows what GDAL keeps of a file
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
        "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "zstd_level": ZSTD_LEVEL,
        "bigtiff": "IF_SAFER", **options,  # how small compression makes it is known too late for the 4 GiB of a plain one
    }  # fmt: skip
    if len(bands) > BANDS_TOGETHER:
        profile["interleave"] = "band"
    with replacing(path) as temporary:
        with gdal_errors(path), rasterio.open(temporary, "w", **profile) as dataset:
            for number, (name, values) in enumerate(bands.items(), 1):
                dataset.write(_of_type(values, np.dtype(dtype)), number)
                dataset.set_band_description(number, name)
                dataset.set_band_unit(number, (units or {}).get(name, ""))
            dataset.update_tags(**dict(sorted((tags or {}).items())))
        check_written(temporary, path)


def _of_type(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(np.nan_to_num(values)), limits.min, limits.max), dtype)


@contextmanager
def gdal_errors(path: Path) -> Iterator[None]:
    """GDAL's errors as one line that names `path`."""
    try:
        yield
    except GDAL_ERRORS as error:
        problem = f"cannot be read or written ({reason(error, path)})"
        raise OrreryError(
            problem, file=path, remedy="check the path and free space, or make it again"
        ) from error


def check_written(temporary: Path, path: Path) -> None:
    """GDAL does not tell of a disk that fills up while a file is closed: look whether all is there."""
    with gdal_errors(path), rasterio.open(temporary) as dataset:
        for band in dataset.indexes:
            check_complete(dataset, band, path)
