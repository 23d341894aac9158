"""Ground cut into square blocks, to hold tie points out by and to look for empty places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FOLDS = 5
KNIGHT = 2  # blocks of one fold lie a knight's move apart, so that each has others around it


@dataclass(frozen=True)
class Blocks:
    """Square blocks of an image.

    Attributes:
        side_px: of a block.
        apart_px: least distance, to the right or down, of a point that judges from the border of its block, and of
            one that fits from the border on its own side.
    """

    side_px: float
    apart_px: float

    def folds(self, rows: Floats, columns: Floats) -> list[tuple[Mask, Mask]]:
        """Pairs of masks of points, (N,) at rows and columns: those that fit, those that judge; at a border neither."""
        corners = np.stack(
            [
                self._fold(rows + down, columns + right)
                for down in (-self.apart_px, self.apart_px)
                for right in (-self.apart_px, self.apart_px)
            ]
        )
        return [((corners != fold).all(0), (corners == fold).all(0)) for fold in range(FOLDS)]

    def count(self, rows: Floats, columns: Floats) -> int:
        """Blocks that hold a point."""
        numbers = np.stack([np.floor(places / self.side_px) for places in (rows, columns)])
        return int(np.unique(numbers, axis=1).shape[1])

    def _fold(self, rows: Floats, columns: Floats) -> NDArray[np.int64]:
        down, right = (np.floor(places / self.side_px).astype(np.int64) for places in (rows, columns))
        return (KNIGHT * down + right) % FOLDS
