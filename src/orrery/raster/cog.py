"""Planes on disk into a cloud-optimised GeoTIFF, with overviews made here: GDAL's own take twice as long as all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.shutil import copy as copy_raster

from orrery.files import replacing
from orrery.raster.rows import RowStore
from orrery.raster.windows import block_means, coarser
from orrery.raster.writing import check_written, gdal_errors

BLOCK_PX = 256
ROWS_AT_ONCE = 256
ZSTD_LEVEL = 1  # level 9 takes five times as long for less than 1 % of the size


def write_cog(store: RowStore, units: Mapping[str, str], tags: Mapping[str, str], path: Path) -> None:
    """Write the planes of a store as the bands of a COG.

    Args:
        store: finished planes.
        units: plane -> unit.
        tags: metadata.
        path: target, written atomically.

    Raises:
        OrreryError: the place is not writable or the disk is full; nothing is left there.
    """
    smaller = _overviews(store)
    source = store.write_vrt(units, tags, [overview.write_vrt(units, {}) for overview in smaller])
    predictor = "FLOATING_POINT" if store.dtype == "float32" else "STANDARD"
    options = {"blocksize": BLOCK_PX, "compress": "ZSTD", "level": ZSTD_LEVEL, "predictor": predictor}
    options["bigtiff"] = (
        "IF_SAFER"  # how small compression makes it is known too late for the 4 GiB of a plain one
    )
    with replacing(path) as temporary:
        with gdal_errors(path):
            copy_raster(source, temporary, driver="COG", **options)
        check_written(temporary, path)
    for overview in smaller:
        overview.discard()


def _overviews(store: RowStore) -> list[RowStore]:
    """Means of the valid ones of 2 x 2 pixels, again and again until one block holds all."""
    stores: list[RowStore] = []
    while max(store.grid.shape) > BLOCK_PX:
        smaller = RowStore(
            store.folder, f"{store.name}-half", store.planes, coarser(store.grid, 2), store.dtype
        )
        for row in range(0, smaller.grid.height, ROWS_AT_ONCE):
            stop = min(row + ROWS_AT_ONCE, smaller.grid.height)
            smaller.write(row, np.stack([_halved(store, row, stop, plane) for plane in store.planes]))
        stores.append(smaller)
        store = smaller
    return stores


def _halved(store: RowStore, row: int, stop: int, plane: str) -> NDArray[Any]:
    """Rows of the next smaller overview."""
    last = min(2 * stop, store.grid.height)
    values = store.rows(2 * row, last, plane)
    missing = 2 * stop - last, store.grid.width % 2
    padded = np.pad(values, [(0, missing[0]), (0, missing[1])], mode="edge")
    if store.dtype == "float32":
        return block_means(padded, 2)
    means = block_means(np.where(padded > 0, padded, np.float32(np.nan)), 2)
    return np.nan_to_num(np.rint(means)).astype(store.dtype)
