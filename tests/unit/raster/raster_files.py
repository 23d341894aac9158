"""Tiny rasters of the Moon in each format that the readers promise to read."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from orrery.raster.grid import Grid

MOON = CRS.from_string("IAU_2015:30110")
SOUTH = CRS.from_string("IAU_2015:30135")
NORTH = CRS.from_string("IAU_2015:30130")


def lunar_grid(height: int = 24, width: int = 32, gsd_m: float = 5.0, crs: CRS = MOON) -> Grid:
    """North-up, its upper left corner at (1000, 2000) m."""
    return Grid(crs, Affine(gsd_m, 0, 1000, 0, -gsd_m, 2000), height, width)


def ramp(height: int = 24, width: int = 32) -> NDArray[np.int16]:
    """Digital numbers that tell row and column: 100 row + column."""
    return (100 * np.arange(height)[:, None] + np.arange(width)).astype(np.int16)


def write_gdal(path: Path, values: NDArray[np.generic], grid: Grid | None = None, **profile: object) -> Path:
    """Whatever GDAL can write, past our own writer."""
    grid = grid or lunar_grid(*values.shape)
    settings = {"driver": "GTiff", "crs": grid.crs, "transform": grid.transform, **profile}
    height, width = values.shape
    settings.update(height=height, width=width, count=1, dtype=values.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some are made without a place
        with rasterio.open(path, "w", **settings) as dataset:
            dataset.write(values, 1)
    return path


def write_isis(path: Path, values: NDArray[np.generic], grid: Grid | None = None) -> Path:
    """An ISIS cube with its label in front."""
    return write_gdal(path, values, grid, driver="ISIS3")


LABEL = """PDS_VERSION_ID = PDS3\r
RECORD_TYPE = FIXED_LENGTH\r
RECORD_BYTES = {record_bytes}\r
FILE_RECORDS = {lines}\r
^IMAGE = {pointer}\r
TARGET_NAME = MOON\r
PRODUCT_ID = "{product}"\r
OBJECT = IMAGE\r
  LINES = {lines}\r
  LINE_SAMPLES = {samples}\r
  SAMPLE_TYPE = {sample_type}\r
  SAMPLE_BITS = {bits}\r
{keywords}END_OBJECT = IMAGE\r
OBJECT = IMAGE_MAP_PROJECTION\r
  MAP_PROJECTION_TYPE = "SIMPLE CYLINDRICAL"\r
  A_AXIS_RADIUS = 1737.4 <km>\r
  B_AXIS_RADIUS = 1737.4 <km>\r
  C_AXIS_RADIUS = 1737.4 <km>\r
  POSITIVE_LONGITUDE_DIRECTION = "EAST"\r
  CENTER_LATITUDE = 0 <deg>\r
  CENTER_LONGITUDE = 0 <deg>\r
  MAP_SCALE = 5.0 <m/pix>\r
  MAP_RESOLUTION = 6064.67 <pix/deg>\r
  LINE_PROJECTION_OFFSET = 399.5 <pix>\r
  SAMPLE_PROJECTION_OFFSET = -200.5 <pix>\r
END_OBJECT = IMAGE_MAP_PROJECTION\r
END\r
"""


def write_pds3(
    path: Path,
    values: NDArray[np.generic],
    *,
    attached: bool = False,
    pointer: str | None = None,
    **keywords: object,
) -> Path:
    """A PDS3 image; `path` is its detached label, or the image itself when attached."""
    swapped = values.dtype.newbyteorder(">" if values.dtype.kind == "f" else "<")
    names = {"f": "IEEE_REAL", "u": "LSB_UNSIGNED_INTEGER", "i": "LSB_INTEGER"}
    pixels = values.astype(swapped).tobytes()
    image = path if attached else path.with_suffix(".IMG")
    label = LABEL.format(
        record_bytes=values.shape[1] * values.itemsize,
        lines=values.shape[0],
        samples=values.shape[1],
        pointer=pointer or ("@@@@ <BYTES>" if attached else f'"{image.name}"'),
        product=path.stem,
        sample_type=names[values.dtype.kind],
        bits=8 * values.itemsize,
        keywords="".join(f"  {key} = {value}\r\n" for key, value in keywords.items()),
    )
    if not attached:
        path.write_text(label, newline="")
        image.write_bytes(pixels)
        return path
    label = label.replace("@@@@", f"{len(label) + 1:4d}")
    path.write_bytes(label.encode() + pixels)
    return path


CTX_LABEL = """PDS_VERSION_ID = PDS3\r
RECORD_TYPE = FIXED_LENGTH\r
RECORD_BYTES = {samples}\r
FILE_RECORDS = {records}\r
LABEL_RECORDS = {label_records}\r
^IMAGE = {pointer}\r
SPACECRAFT_NAME = MARS_RECONNAISSANCE_ORBITER\r
INSTRUMENT_NAME = "CONTEXT CAMERA"\r
TARGET_NAME = MARS\r
PRODUCT_ID = "{product}"\r
START_TIME = 2007-02-25T13:04:15.282\r
OBJECT = IMAGE\r
  LINES = {lines}\r
  LINE_SAMPLES = {samples}\r
  LINE_PREFIX_BYTES = 0\r
  LINE_SUFFIX_BYTES = 0\r
  SAMPLE_TYPE = UNSIGNED_INTEGER\r
  SAMPLE_BITS = 8\r
  SAMPLE_BIT_MASK = 2#11111111#\r
END_OBJECT = IMAGE\r
END\r
"""


def write_ctx_edr(path: Path, values: NDArray[np.uint8]) -> Path:
    """A raw CTX frame: camera geometry, codes of 8 bits, an attached label padded to whole records."""
    lines, samples = values.shape
    label_records = -(-len(CTX_LABEL) // samples) + 1
    label = CTX_LABEL.format(
        samples=samples, lines=lines, records=label_records + lines, label_records=label_records,
        pointer=label_records + 1, product=path.stem,
    )  # fmt: skip
    path.write_bytes(label.encode().ljust(label_records * samples) + values.tobytes())
    return path


FORMATS = ("geotiff", "cog", "pds3 detached", "pds3 attached", "isis", "vicar", "pds4")


def write_format(kind: str, folder: Path, values: NDArray[np.generic]) -> Path:
    """A file of each format in turn; the label where that is a file of its own."""
    match kind:
        case "geotiff":
            return write_gdal(folder / "a.tif", values)
        case "cog":
            return write_gdal(folder / "b.tif", values, driver="COG")
        case "pds3 detached":
            return write_pds3(folder / "c.lbl", values)
        case "pds3 attached":
            return write_pds3(folder / "d.img", values, attached=True)
        case "isis":
            return write_isis(folder / "e.cub", values)
        case "vicar":
            return write_gdal(folder / "f.vic", values, driver="VICAR")
        case _:
            return write_gdal(folder / "g.xml", values, driver="PDS4")
