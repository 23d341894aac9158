"""Tiles with overlap over a raster of any size, and their blending one band of rows at a time.

Each tile is weighted in each direction by a trapezoid, which rises linearly over the overlap with the tile before it, falls
over the overlap with the next one, and keeps its full weight at the raster's border; or by a bell. Running sums hold only
the rows that a later tile can still reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """Tiles along one direction of a raster.

    Attributes:
        size: pixels of the raster.
        tile: pixels of a tile, never more than the raster has.
        starts: first pixels of the tiles, ascending; every pixel is in a tile.
    """

    size: int
    tile: int
    starts: tuple[int, ...]

    @classmethod
    def over(cls, size: int, tile: int, overlap: int) -> Axis:
        """Cover `size` pixels with the fewest tiles that overlap by `overlap` pixels or more, evenly spread.

        Raises:
            OrreryError: the overlap leaves a tile no pixel of its own.
        """
        if not 0 <= overlap < tile:
            raise OrreryError(
                f"tiles of {tile} px cannot overlap by {overlap} px",
                file="params.yaml",
                remedy="make the overlap smaller than the tile",
            )
        if size <= tile:
            return cls(size, size, (0,))
        count = ceil((size - overlap) / (tile - overlap))
        return cls(size, tile, tuple(round(i * (size - tile) / (count - 1)) for i in range(count)))

    def finished(self, index: int) -> int:
        """Pixels from the start that no tile after `index` reaches."""
        return max(self.starts[index + 1], 0) if index + 1 < len(self.starts) else self.size

    def weights(self, index: int) -> Array:
        """(tile,) trapezoid of one tile, in (0, 1]; the weights of two overlapping tiles add up to 1."""
        start, ramps = self.starts[index], np.ones((2, self.tile))
        if index > 0:
            ramps[0] = _rise(self.tile, self.starts[index - 1] + self.tile - start)
        if index + 1 < len(self.starts):
            ramps[1] = _rise(self.tile, start + self.tile - self.starts[index + 1])[::-1]
        return np.asarray(ramps.min(axis=0), np.float32)


@dataclass(frozen=True)
class BellAxis(Axis):
    """Tiles of one size at a stride of a fraction of it, under a Gaussian; the outer ones reach beyond the raster.

    So every pixel is the mean of as many tiles as every other, at the raster's edge too.

    Attributes:
        tapered: lower the Gaussian until it begins and ends at 0. Left alone it begins at 0.37 (Postnikova et al.: exp(-r^2)
            with r from -1 to 1), and two tiles that disagree leave a step where one begins.
    """

    tapered: bool = True

    @classmethod
    def strided(cls, size: int, tile: int, divisor: int, *, tapered: bool = True) -> BellAxis:
        """Cover `size` pixels by tiles at a stride of `tile` / `divisor` pixels, rounded down."""
        stride = max(tile // divisor, 1)
        return cls(size, tile, tuple(range(stride - tile, size, stride)), tapered)

    def weights(self, index: int) -> Array:
        """(tile,) samples of the Gaussian at pixel centres, in (0, 1]; the same for every tile."""
        place = (2 * np.arange(self.tile) + 1) / self.tile - 1
        bell = np.exp(-(place**2)) - (np.exp(-1) if self.tapered else 0)
        return np.asarray(bell, np.float32)


def corners(shape: tuple[int, int], tile: tuple[int, int], overlap_px: int) -> list[tuple[int, int]]:
    """Top-left pixels of the tiles that cover a (height, width) raster.

    Raises:
        OrreryError: the raster is smaller than a tile.
    """
    if shape[0] < tile[0] or shape[1] < tile[1]:
        problem = f"a scene of {shape[0]} x {shape[1]} px is smaller than a patch of {tile[0]} x {tile[1]} px"
        raise OrreryError(problem, file="params.yaml", remedy="lower the size under `patch`")
    down, across = (Axis.over(size, part, overlap_px).starts for size, part in zip(shape, tile, strict=True))
    return list(product(down, across))


def _rise(length: int, overlap: int) -> NDArray[np.float64]:
    """Linear rise over the first `overlap` pixels, then 1; its mirror image is its complement."""
    return np.asarray(np.minimum((np.arange(length) + 0.5) / max(overlap, 0.5), 1.0), float)


class RowBlender:
    """Weighted means of overlapping tiles, added from top to bottom; finished rows leave at the top.

    Attributes:
        width: pixels of a row.
        planes: values a pixel.
        first_row: the raster's row that the sums begin with.
    """

    def __init__(self, width: int, planes: int, first_row: int = 0, sums: Array | None = None) -> None:
        self.width, self.planes, self.first_row, self._rows = width, planes, first_row, 0
        self._held = np.zeros((planes + 1, 0, width), np.float32)  # what lies below the sums is zero
        if sums is not None:
            self._reach(first_row + sums.shape[1])
            self.sums[:] = sums

    @property
    def sums(self) -> Array:
        """(planes + 1, rows, width) running sums of weight times value, and of weight in the last plane."""
        return self._held[:, : self._rows]

    def add(self, row: int, column: int, weight: Array, values: Sequence[Array]) -> None:
        """Add a tile.

        Args:
            row: the raster's row under the tile's first one; not above rows that have been finished.
            column: the raster's column under the tile's first one.
            weight: (H, W) positive.
            values: one (H, W) array a plane; pixels where the first is NaN add nothing.
        """
        height, width = weight.shape
        self._reach(row + height)
        part = self._held[:, row - self.first_row : row - self.first_row + height, column : column + width]
        valid = np.isfinite(values[0])
        if valid.all():
            for plane, value in zip(part, values, strict=False):
                plane += weight * value
            part[-1] += weight
            return
        weight = np.where(valid, weight, np.float32(0))
        for plane, value in zip(part, values, strict=False):
            plane += weight * np.where(valid, value, np.float32(0))
        part[-1] += weight

    def finish(self, stop: int) -> Array:
        """(planes, rows, width) weighted means of the rows before `stop`, which leave; NaN where no tile was valid."""
        self._reach(stop)
        count = stop - self.first_row
        with np.errstate(invalid="ignore"):
            means = self._held[:-1, :count] / self._held[-1:, :count]
        left = self._rows - count
        self._held[:, :left] = self._held[:, count : self._rows]
        self._held[:, left : self._rows] = 0
        self.first_row, self._rows = stop, left
        return np.asarray(means, np.float32)

    def _reach(self, stop: int) -> None:
        """Hold the rows before `stop`."""
        wanted = stop - self.first_row
        if wanted > self._held.shape[1]:
            grown = np.zeros((self.planes + 1, wanted, self.width), np.float32)
            grown[:, : self._rows] = self.sums
            self._held = grown
        self._rows = max(self._rows, wanted)


def stretch(field_values: Array, rows: NDArray[Any], columns: NDArray[Any]) -> Array:
    """Bilinear values of a small field at every crossing of fractional `rows` and `columns`; constant beyond its edge.

    Args:
        field_values: (h, w).
        rows: (H,) positions in the field, px.
        columns: (W,) positions in the field, px.

    Returns:
        (H, W) values. Separable, so it costs a multiple of a copy.
    """
    along = _interpolate(np.asarray(field_values, np.float32), rows)
    return np.ascontiguousarray(_interpolate(along.T, columns).T)


def _interpolate(values: Array, positions: NDArray[Any]) -> Array:
    """Linear interpolation along the first axis."""
    place = np.clip(np.asarray(positions, float), 0, len(values) - 1)
    below = np.minimum(place.astype(int), max(len(values) - 2, 0))
    share = (place - below).astype(np.float32)[:, None]
    above = np.minimum(below + 1, len(values) - 1)
    return np.asarray(values[below] * (1 - share) + values[above] * share, np.float32)
