"""Rasters that are read window by window: moved, warped onto another grid, or reduced, without being held whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Literal, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject, transform_bounds

from orrery.raster.grid import Grid
from orrery.raster.io import Raster
from orrery.raster.resampling import kernel

Array = NDArray[np.float32]
Span = tuple[int, int, int, int]
WARP_MARGIN_PX = 4  # half-width of a cubic kernel, and one for rounding
READ_ROWS = 256  # about one block of a tiled file


class Windows(Protocol):
    """What `raster.io.open_windows` gives, and everything here."""

    @property
    def grid(self) -> Grid:
        """Where it lies."""
        ...

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """(height, width) values from (row, column) on, which may reach beyond the raster; NaN where there is none."""
        ...


@dataclass(frozen=True)
class Placed:
    """A raster's pixels with another geotransform."""

    source: Windows
    grid: Grid

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """The source's window."""
        return self.source.read(row, column, height, width)


@dataclass(frozen=True)
class Scaled:
    """A raster's values times a factor."""

    source: Windows
    factor: float

    @property
    def grid(self) -> Grid:
        """The source's."""
        return self.source.grid

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """The source's window, scaled."""
        return self.source.read(row, column, height, width) * np.float32(self.factor)


@dataclass(frozen=True)
class Part:
    """A part of a raster as a raster of its own, whose surroundings can still be read."""

    source: Windows
    span: Span

    @property
    def grid(self) -> Grid:
        """Of the part."""
        return self.source.grid.window(*self.span)

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """The source's window."""
        return self.source.read(self.span[0] + row, self.span[1] + column, height, width)


@dataclass(frozen=True)
class Warped:
    """A raster resampled onto another grid, which may have another coordinate system of the same body."""

    source: Windows
    grid: Grid
    method: Literal["bilinear", "cubic", "average"] = "cubic"

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """Resample the source pixels under this window only."""
        out = np.full((height, width), np.nan, np.float32)
        grid = self.grid.window(row, column, height, width)
        span = covered(self.source.grid, grid, WARP_MARGIN_PX)
        if span is None:
            return out
        part = self.source.grid.window(*span)
        reproject(
            self.source.read(*span), out, src_transform=part.transform, src_crs=part.crs, src_nodata=np.nan,
            dst_transform=grid.transform, dst_crs=grid.crs, dst_nodata=np.nan, resampling=Resampling[self.method],
            **kernel(part, grid),
        )  # fmt: skip
        return out


def covered(source: Grid, target: Grid, margin_px: int) -> Span | None:
    """The window (row, column, height, width) of `source` under `target` with a margin; None where they do not meet."""
    bounds = target.bounds
    if source.crs != target.crs:
        bounds = transform_bounds(target.crs, source.crs, *bounds)
    left, bottom, right, top = bounds
    rows, columns = source.rowcol([left, right, right, left], [top, top, bottom, bottom])
    extra = margin_px * max(1.0, target.gsd_m / source.gsd_m)
    start_row, stop_row = max(floor(rows.min() - extra), 0), min(ceil(rows.max() + extra) + 1, source.height)
    start, stop = max(floor(columns.min() - extra), 0), min(ceil(columns.max() + extra) + 1, source.width)
    if stop_row <= start_row or stop <= start:
        return None
    return start_row, start, stop_row - start_row, stop - start


def coarser(grid: Grid, factor: int) -> Grid:
    """The grid of `factor` x `factor` blocks of pixels; the last ones may reach beyond it."""
    transform = grid.transform * Affine.scale(factor)
    return Grid(grid.crs, transform, ceil(grid.height / factor), ceil(grid.width / factor))


def reduced(source: Windows, factor: int) -> Raster:
    """Means of the valid pixels of `factor` x `factor` blocks, read band by band; NaN for blocks without any."""
    grid = coarser(source.grid, factor)
    rows_at_once = max(READ_ROWS // factor, 1)
    out = np.full(grid.shape, np.nan, np.float32)
    for start in range(0, grid.height, rows_at_once):
        count = min(rows_at_once, grid.height - start)
        values = source.read(start * factor, 0, count * factor, grid.width * factor)
        out[start : start + count] = block_means(values, factor)
    return Raster(out, grid)


def block_means(values: Array, factor: int) -> Array:
    """(H / factor, W / factor) means of the finite values of each block; NaN for blocks without any."""
    if factor == 1:
        return values
    valid = np.isfinite(values)
    if valid.all():
        return _sums(values, factor) / np.float32(factor**2)
    with np.errstate(invalid="ignore"):
        return _sums(np.where(valid, values, np.float32(0)), factor) / _sums(valid.astype(np.float32), factor)


def _sums(values: Array, factor: int) -> Array:
    """Strided additions, several times faster than a reduction over short axes."""
    down = values[::factor].copy()
    for row in range(1, factor):
        down += values[row::factor]
    total = down[:, ::factor].copy()
    for column in range(1, factor):
        total += down[:, column::factor]
    return total
