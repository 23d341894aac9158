"""Rasters from files, read by GDAL: GeoTIFF/COG, PDS3, PDS4, VICAR, ISIS; one clear error for each mishap."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import DatasetReader
from rasterio.crs import CRS
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from orrery.errors import OrreryError
from orrery.raster.complete import check_complete, damaged
from orrery.raster.gdal import GDAL_ERRORS, reason
from orrery.raster.grid import RADIUS_M, Body, Grid, check_body
from orrery.raster.raster import Array, Raster
from orrery.raster.resampling import to_metres

# ISIS's special pixels of floats (null, four saturations) are the lowest numbers; ASP writes nodata there too.
LOWEST_VALID = -3.402822e38
# Valid DN of ISIS integers; those below and above are null and saturations (SpecialPixel.h of USGS ISIS).
ISIS_VALID_DN = {"uint8": (1, 254), "uint16": (3, 65522), "int16": (-32752, 32767), "uint32": (3, 4294967282)}
METRIC_CRS: dict[Body, str] = {
    "moon": "IAU_2015:30110",
    "mars": "IAU_2015:49910",
    "jupiter": "IAU_2015:59910",
}  # equirectangular, for remedies
LABELS = (".lbl", ".xml")  # detached ones of PDS3 and PDS4
READ_PX = 2**22  # per GDAL read, which needs several times the memory of the result
LARGEST_WHOLE_PX = 2**30  # 4 GiB; whoever works with more reads by windows
KILOMETRE = 1000.0  # lengths are given in metres whatever the file's unit, e.g. SLDEM2015's
RADIUS_OFFSET_TOLERANCE = 0.01  # reference spheres of radius products: within 1 % of the IAU sphere


@dataclass(frozen=True)
class Source:
    """An open raster, read window by window.

    Attributes:
        path: the file.
        dataset: GDAL's handle; it belongs to this process and thread.
        band: counted from 1.
        grid: where it lies.
        body: whose sphere heights refer to; None for camera geometry.
    """

    path: Path
    dataset: DatasetReader
    band: int
    grid: Grid
    body: Body | None

    @property
    def tags(self) -> Mapping[str, str]:
        """Metadata of the file."""
        return {key: str(value) for key, value in self.dataset.tags().items()}

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """(height, width) values from (row, column) on; NaN where invalid, and beyond the raster's edges.

        Raises:
            OrreryError: these pixels are truncated or damaged.
        """
        values: Array = self.read_bands([self.band], row, column, height, width)[0]
        return values

    def read_bands(self, bands: Sequence[int], row: int, column: int, height: int, width: int) -> Array:
        """(B, height, width) values of several bands; as `read`."""
        out = np.full((len(bands), height, width), np.nan, np.float32)
        together = len(bands) if self.pixel_interleaved else 1  # a block holds all bands, or one
        left, right = max(column, 0), min(column + width, self.grid.width)
        stop = min(row + height, self.grid.height)
        rows = max(READ_PX // max((right - left) * together, 1), 1)
        for first in range(0, len(bands), together):
            group = slice(first, first + together)
            for top in range(max(row, 0), stop if right > left else 0, rows):
                bottom = min(top + rows, stop)
                window = Window.from_slices((top, bottom), (left, right))
                part = out[group, top - row : bottom - row, left - column : right - column]
                part[...] = self._values(bands[group], window)
        return out

    @property
    def pixel_interleaved(self) -> bool:
        """Whether all bands lie together in the file."""
        return bool(self.dataset.interleaving == Interleaving.pixel)

    def _values(self, bands: Sequence[int], window: Window) -> Array:
        """Special pixels as NaN, then scale and offset; radii become heights above the body's IAU sphere."""
        try:
            raw = self.dataset.read(list(bands), window=window, masked=True)
        except GDAL_ERRORS as error:
            raise damaged(self.path, reason(error, self.path)) from error
        lengths = [
            KILOMETRE if str(unit).upper().startswith("KILOMET") else 1.0 for unit in self.dataset.units
        ]
        scale, offset = (
            np.array([terms[band - 1] * lengths[band - 1] for band in bands])[:, None, None]
            for terms in (self.dataset.scales, self.dataset.offsets)
        )
        if self.body:
            radius = RADIUS_M[self.body]
            offset = np.where(np.abs(offset / radius - 1) < RADIUS_OFFSET_TOLERANCE, offset - radius, offset)
        with np.errstate(over="ignore", invalid="ignore"):
            values = raw.data.astype(np.float64) * scale + offset
            values[_special(raw, self.dataset.driver)] = np.nan
            single: Array = values.astype(np.float32)
        single[np.isinf(single)] = np.nan
        return single


def read(
    path: Path,
    *,
    body: Body | None = "moon",
    band: int = 1,
    window: tuple[int, int, int, int] | None = None,
    reproject_to_metres: bool = False,
) -> Raster:
    """Read a band, whole or in part.

    Args:
        path: GeoTIFF/COG, ISIS cube, PDS3 image with attached label, or the detached label of one.
        body: where it must lie; None takes images in camera geometry too.
        band: counted from 1.
        window: first row, first column, height, width, px.
        reproject_to_metres: bring a grid in degrees onto a local projection instead of refusing it.

    Returns:
        Physical values (scale and offset applied, radii as heights above the IAU sphere), NaN where invalid.

    Raises:
        OrreryError: missing, empty, truncated, damaged, a label without its image or the reverse, of another
            body, without coordinates, in degrees, or without a valid pixel (unless only a window is read).
    """
    with _opened(path, body, band, degrees_allowed=reproject_to_metres) as source:
        span = window or (0, 0, *source.grid.shape)
        if span[2] * span[3] > LARGEST_WHOLE_PX:
            problem = f"has {span[2]} x {span[3]} pixels, too many to hold at once"
            raise OrreryError(problem, file=path, remedy="crop it (gdal_translate -srcwin)")
        raster = Raster(source.read(*span), source.grid.window(*span), source.tags)
    if not window and not raster.valid.any():
        raise OrreryError("holds no valid pixel", file=path, remedy="give another band or another file")
    return to_metres(raster, body) if body and raster.grid.crs.is_geographic else raster


@contextmanager
def open_windows(path: Path, *, body: Body | None = "moon", band: int = 1) -> Iterator[Source]:
    """Open a band for reading by windows, at bounded memory.

    Raises:
        OrreryError: as `read`, but for what only reading everything shows. A truncated file is found here.
    """
    with _opened(path, body, band) as source:
        yield source


@contextmanager
def _opened(path: Path, body: Body | None, band: int, *, degrees_allowed: bool = False) -> Iterator[Source]:
    """Open a band and check all that shows without reading it."""
    dataset = _open(path)
    with dataset:
        grid = _checked_grid(dataset, band, path)
        if body:
            check_body(grid.crs, body, path)
            _check_geometry(grid, body, path, degrees_allowed=degrees_allowed)
        yield Source(path, dataset, band, grid, body)


def _checked_grid(dataset: DatasetReader, band: int, path: Path) -> Grid:
    """The grid of a file that has this band, whole and of real numbers."""
    if not 1 <= band <= dataset.count:
        remedy = f"give a band from 1 to {dataset.count}"
        raise OrreryError(f"has no band {band}", file=path, remedy=remedy)
    if "complex" in dataset.dtypes[band - 1]:
        raise OrreryError("holds complex numbers", file=path, remedy="export magnitude or phase alone")
    check_complete(dataset, band, path)
    try:
        return Grid(dataset.crs or CRS(), dataset.transform, dataset.height, dataset.width)
    except GDAL_ERRORS as error:
        raise damaged(path, reason(error, path)) from error


def _open(path: Path) -> DatasetReader:
    """GDAL's handle, or the reason why there is none."""
    if not path.is_file():
        problem = "is no file" if path.exists() else "does not exist"
        raise OrreryError(problem, file=path, remedy="check the path")
    if path.stat().st_size == 0:
        raise OrreryError("is empty", file=path, remedy="fetch or export it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # said by check_body, with the remedy
            return rasterio.open(path)
    except GDAL_ERRORS as error:
        problem = f"is no readable raster ({reason(error, path)})"
        raise OrreryError(problem, file=path, remedy=_remedy(path)) from error


def _remedy(path: Path) -> str:
    """What to do about a file that GDAL does not open."""
    if path.suffix.lower() in LABELS:
        return "put the image that this label names beside it"
    namesakes = sorted(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    labels = [other.name for other in namesakes if other.suffix.lower() in LABELS]
    if labels:
        return f"give its label {labels[0]} instead"
    if path.suffix.lower() in (".img", ".dat", ".raw"):
        return "put its label (.lbl) beside it and give that"
    return "fetch or export it again"


def _check_geometry(grid: Grid, body: Body, path: Path, *, degrees_allowed: bool) -> None:
    """Refuse a geotransform that places no pixel, and degrees where metres are needed."""
    t = grid.transform
    if not all(isfinite(number) for number in t) or t.determinant == 0 or t.is_identity:
        raise OrreryError(
            "has no usable geotransform",
            file=path,
            remedy="export it again, or set its corners (gdal_edit -a_ullr)",
        )
    if grid.crs.is_geographic and not degrees_allowed:
        raise OrreryError(
            "lies on a grid of degrees, where metres are needed",
            file=path,
            remedy=f"project it first, e.g. gdalwarp -t_srs {METRIC_CRS[body]} IN OUT",
        )


def _special(raw: np.ma.MaskedArray[tuple[int, ...], np.dtype[Any]], driver: str) -> NDArray[np.bool_]:
    """(H, W), true for nodata of any kind: the file's own, ISIS's special pixels, infinities."""
    special = np.ma.getmaskarray(raw) | ~np.isfinite(raw.data)
    if raw.dtype.kind == "f":
        special |= raw.data < LOWEST_VALID
    elif driver.startswith("ISIS") and raw.dtype.name in ISIS_VALID_DN:
        low, high = ISIS_VALID_DN[raw.dtype.name]
        special |= (raw.data < low) | (raw.data > high)
    return np.asarray(special)
