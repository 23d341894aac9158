"""What every use of GDAL here shares: its settings, and its errors in one line."""

from __future__ import annotations

import os
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

# A side-car file beside a raw product would look like a changed product.
os.environ.setdefault("GDAL_PAM_ENABLED", "NO")
# Of blocks, MiB: GDAL's default of 5 % of the machine's memory alone breaks the bound of streamed work.
os.environ.setdefault("GDAL_CACHEMAX", "128")

# What comes out of GDAL for a damaged file: its own errors, numbers out of range, text that is no UTF-8.
GDAL_ERRORS = (RasterioError, CPLE_BaseError, ValueError, OverflowError, MemoryError)


def reason(error: BaseException, path: Path | None = None) -> str:
    """What GDAL said first, on one line and without the path, which the message names already."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error)
    if path is not None:
        text = text.replace(f"'{path}'", "").replace(str(path), path.name)
    return " ".join(text.split()).rstrip(".")
