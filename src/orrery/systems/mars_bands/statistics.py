"""Statistics of an image of any size in one pass at bounded memory, exact: they decide what the network sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.raster.windows import Windows
from orrery.systems.mars_bands.tile import Statistics

Floats = NDArray[np.float64]
TAIL = 1e-4  # the 0.01 and 99.99 percentiles of Apostnikova et al. 2022
LARGEST = 1e5  # beyond lies garbage, whose squares would drown all else until its tail is cut off
ROWS_AT_ONCE = 256


@dataclass
class _Sums:
    """Number of values, and sums of their distances, and of the squares of these, from a value near their mean."""

    near: float = 0.0
    count: int = 0
    first: float = 0.0
    second: float = 0.0

    def add(self, values: Floats) -> None:
        if not self.count:
            self.near = float(np.median(values))
        apart = self._apart(values)
        self.count += values.size
        self.first += float(apart.sum())
        self.second += float(apart @ apart)

    def replace(self, values: Floats, by: float) -> None:
        """Let some of the values have been another one."""
        apart, new = self._apart(values), self._apart(np.full(values.shape, by))
        self.first += float((new - apart).sum())
        self.second += float((new**2 - apart**2).sum())

    def _apart(self, values: Floats) -> Floats:
        return np.asarray(np.clip(values, -LARGEST, LARGEST) - self.near)

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        mean = self.first / self.count
        return self.near + mean, float(np.sqrt(max(self.second / self.count - mean**2, 0.0)))


@dataclass
class _Smallest:
    """The `size` smallest of all values, which are more than a quantile at `TAIL` needs."""

    size: int
    kept: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, values: Floats) -> None:
        if self.kept.size == self.size:
            values = values[values < self.kept[-1]]
        self.kept = np.sort(np.concatenate([self.kept, _lowest(values, self.size)]))[: self.size]

    def quantile(self, count: int) -> float:
        """Linear between the two nearest of `count` values, as NumPy's."""
        return float(np.interp(TAIL * (count - 1), np.arange(self.kept.size), self.kept))


def _lowest(values: Floats, size: int) -> Floats:
    return np.partition(values, size)[:size] if values.size > size else values


def measure(source: Windows, advance: Callable[[int], Any]) -> Statistics | None:
    """Statistics of all valid pixels: low and high, then mean and standard deviation with what is beyond them cut off.

    Args:
        source: the image, read once from top to bottom.
        advance: told how many rows were read.

    Returns:
        None where no pixel is valid.
    """
    height, width = source.grid.shape
    needed = ceil(TAIL * height * width) + 2
    sums, low, high = _Sums(), _Smallest(needed), _Smallest(needed)
    for row in range(0, height, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, height - row)
        values = source.read(row, 0, count, width)
        valid = values[np.isfinite(values)].astype(np.float64)
        if valid.size:
            sums.add(valid)
            low.add(valid)
            high.add(-valid)
        advance(count)
    if not sums.count:
        return None
    least, most = low.quantile(sums.count), -high.quantile(sums.count)
    sums.replace(low.kept[low.kept < least], least)
    sums.replace(-high.kept[-high.kept > most], most)
    return Statistics(*sums.moments(), least, most)
