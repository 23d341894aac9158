"""What a model of this system is given, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
TAILS = (1e-4, 1 - 1e-4)  # the 0.01 and 99.99 percentiles of Postnikova et al.


@dataclass(frozen=True)
class Statistics:
    """Of all valid pixels of one whole image, I/F.

    Attributes:
        mean, standard_deviation: of all of them.
        low, high: the 0.01 and 99.99 percentiles.
    """

    mean: float
    standard_deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, image: Array) -> Statistics:
        """Of an image that is held whole; NaN is invalid, and some pixel must not be."""
        valid = image[np.isfinite(image)].astype(np.float64)
        low, high = np.quantile(valid, TAILS)
        return cls(float(valid.mean()), float(valid.std()), float(low), float(high))


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes:
        image: (H, W) I/F, NaN invalid.
        dem_m: (H, W) heights, known everywhere; None for models that use none.
        statistics: of the whole image.
        gsd_m: pixel size.
    """

    image: Array
    dem_m: Array | None
    statistics: Statistics
    gsd_m: float


class Bands(Protocol):
    """A trained model."""

    @property
    def name(self) -> str:
        """The variant."""
        ...

    @property
    def wavelengths_nm(self) -> tuple[float, ...]:
        """Of the predicted bands, ascending."""
        ...

    @property
    def uses_dem(self) -> bool:
        """Whether a tile must have heights."""
        ...

    @property
    def context_px(self) -> int:
        """Border wanted around a tile, px."""
        ...

    @property
    def planes(self) -> tuple[str, ...]:
        """What `predict` gives: "592.35 nm", …, and where the model has them "sigma 592.35 nm", "confidence 592.35 nm", …."""
        ...

    def recipe(self) -> Mapping[str, Any]:
        """Everything but the weights, as plain data."""
        ...

    def predict(self, tiles: Sequence[Tile]) -> Sequence[Array]:
        """For each tile (len(planes), H, W), I/F (confidence: 0 to 1); NaN where the image is invalid."""
        ...
