"""Whether all of a raster's pixels are in its file: found when it is opened, not an hour into reading it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from rasterio import DatasetReader
from rasterio.windows import Window

from orrery.errors import OrreryError
from orrery.raster.gdal import GDAL_ERRORS, reason

LONGEST_LABEL = 2**20  # bytes
LABEL_MATCH_PX = 256  # so many pixels that equal a part of the label are no chance
BYTES_PER_BLOCK = 4  # a TIFF lists offset and size of each block, two bytes each at the very least


def check_complete(dataset: DatasetReader, band: int, path: Path) -> None:
    """Refuse a file that ends before its pixels do, or whose label points at itself as its image.

    Args:
        dataset: the open file.
        band: counted from 1.
        path: how the user calls the file.

    Raises:
        OrreryError: naming the file and the remedy.
    """
    for name in dataset.files:
        if not Path(name).is_file() or Path(name).stat().st_size == 0:  # GDAL would give zeros for its pixels
            raise OrreryError("is empty or no file", file=name, remedy="fetch or export it again")
    try:
        dataset.read(
            band, window=Window(dataset.width - 1, dataset.height - 1, 1, 1)
        )  # raw formats end with it
        if dataset.driver == "GTiff":
            _check_blocks(dataset, band, path)
        elif dataset.driver == "ENVI":
            _check_size(dataset, path)
        elif set(dataset.files) == {str(path)} and _begins_in_label(dataset, band, path):
            raise OrreryError(
                "has a label whose pointer leads into the label, not to the pixels behind it",
                file=path,
                remedy="correct the pointer ^IMAGE, or fetch it again with a detached label",
            )
    except GDAL_ERRORS as error:
        raise damaged(path, reason(error, path)) from error


def damaged(path: Path, why: str) -> OrreryError:
    """The error for a file that is not whole."""
    return OrreryError(f"is truncated or damaged ({why})", file=path, remedy="fetch or export it again")


def _check_blocks(dataset: DatasetReader, band: int, path: Path) -> None:
    """Refuse a TIFF with a block beyond the end of the file; blocks that are all nodata need not be stored."""
    height, width = dataset.block_shapes[band - 1]
    rows, columns = -(-dataset.height // height), -(-dataset.width // width)
    size = Path(dataset.name).stat().st_size
    if BYTES_PER_BLOCK * rows * columns > size:
        raise damaged(path, f"{size} bytes for {rows * columns} blocks")
    end = max(_end_of_block(dataset, band, row, column) for row in range(rows) for column in range(columns))
    if end > size:
        raise damaged(path, f"{size} of at least {end} bytes")


def _check_size(dataset: DatasetReader, path: Path) -> None:
    """Refuse an ENVI image shorter than its header says: GDAL gives zeros for what is missing."""
    pixels = dataset.count * dataset.height * dataset.width
    expected = (
        int(dataset.tags(ns="ENVI").get("header_offset", 0)) + pixels * np.dtype(dataset.dtypes[0]).itemsize
    )
    size = path.stat().st_size
    if size < expected:
        raise damaged(path, f"{size} of at least {expected} bytes")


def _end_of_block(dataset: DatasetReader, band: int, row: int, column: int) -> int:
    """Byte after a TIFF block; 0 for one that is not stored."""
    start = dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=band)
    size = dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band)
    return int(start) + int(size) if start and size else 0


def _begins_in_label(dataset: DatasetReader, band: int, path: Path) -> bool:
    """Whether the first pixels are bytes of the text label before them: GDAL would give letters as heights."""
    with path.open("rb") as stream:
        head = stream.read(LONGEST_LABEL)
    end = re.search(rb"\nEND\s", head, re.IGNORECASE)
    if end is None:
        return False
    first = dataset.read(band, window=Window(0, 0, min(LABEL_MATCH_PX, dataset.width), 1))
    orders = first.tobytes(), first.byteswap().tobytes()
    return any(head.find(pixels, 0, end.end() + len(pixels) - 1) >= 0 for pixels in orders)
