"""Statistics of an image of any size in one pass at bounded memory, exact: they decide what the network sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.raster.windows import Windows
from orrery.systems.mars_bands.tile import TAILS, Array, Statistics

Floats = NDArray[np.float64]
ROWS_AT_ONCE = 256


@dataclass
class _Moments:
    """Number, mean and sum of squared deviations, merged block by block (Chan, Golub & LeVeque 1983, Am. Stat. 37:242)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: Floats) -> None:
        mean = float(values.mean())
        total, apart = self.count + values.size, mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + apart**2 * self.count * values.size / total
        self.mean += apart * values.size / total
        self.count = total


@dataclass
class _Smallest:
    """The `size` smallest of all values, which are more than any lower quantile needs."""

    size: int
    kept: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, values: Floats) -> None:
        if self.kept.size == self.size:
            values = values[values < self.kept.max()]
        both = np.concatenate([self.kept, values])
        self.kept = np.partition(both, self.size - 1)[: self.size] if both.size > self.size else both

    def quantile(self, share: float, count: int) -> float:
        """Linear between the two nearest of `count` values, as NumPy's."""
        return float(np.interp(share * (count - 1), np.arange(self.kept.size), np.sort(self.kept)))


def measure(source: Windows, advance: Callable[[int], Any]) -> Statistics | None:
    """Statistics of all valid pixels, as `Statistics.of` gives them; None where there is none.

    Args:
        source: the image, read once from top to bottom.
        advance: told how many rows were read.
    """
    height, width = source.grid.shape
    needed = ceil(TAILS[0] * height * width) + 2
    moments, low, high = _Moments(), _Smallest(needed), _Smallest(needed)
    for row in range(0, height, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, height - row)
        valid = _valid(source.read(row, 0, count, width))
        if valid.size:
            moments.add(valid)
            low.add(valid)
            high.add(-valid)
        advance(count)
    if not moments.count:
        return None
    quantiles = low.quantile(TAILS[0], moments.count), -high.quantile(1 - TAILS[1], moments.count)
    return Statistics(moments.mean, float(np.sqrt(moments.squares / moments.count)), *quantiles)


def _valid(values: Array) -> Floats:
    return values[np.isfinite(values)].astype(np.float64)
