"""One band of values with its place: what readers give, and writers and resamplers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orrery.raster.grid import Grid

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Raster:
    """One band with its place.

    Attributes:
        values: (H, W) float32, NaN invalid.
        grid: where it lies.
        tags: metadata of the file.
    """

    values: Array
    grid: Grid
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W), true where there is a value."""
        return np.isfinite(self.values)
