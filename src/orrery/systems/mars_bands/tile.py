"""What a trained model is given: a part of an image, and what is known of the whole; and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
HEIGHT_SCALE_M = 100.0  # relief within a patch, about


@dataclass(frozen=True)
class Statistics:
    """Of the valid pixels of a whole image, I/F.

    Attributes:
        mean, standard_deviation: after values were cut off at low and high.
        low, high: where outliers are cut off, the 0.01 and 99.99 percentiles.
    """

    mean: float
    standard_deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes:
        image: (H, W) I/F, NaN invalid.
        dem_m: (H, W) heights, m, where the model wants them.
        statistics: of the whole image.
        gsd_m: pixel size, m.
    """

    image: Array
    dem_m: Array | None
    statistics: Statistics
    gsd_m: float


class Bands(Protocol):
    """A trained model, as `systems.mars_bands.model.BandsModel`."""

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
        """Of a product: "592.35 nm", …, and where the model has them "sigma 592.35 nm", "confidence 592.35 nm", …."""
        ...

    @property
    def blended(self) -> tuple[str, ...]:
        """What `predict` gives and tiles are blended in: the planes of a product, or fewer that these are made of."""
        ...

    def recipe(self) -> Mapping[str, Any]:
        """Everything but the weights, as plain data."""
        ...

    def predict(self, tiles: Sequence[Tile]) -> Sequence[Array]:
        """For each tile (len(blended), H, W), I/F (confidence: 0 to 1); NaN where the image is invalid."""
        ...

    def finished(self, blended: Array) -> Array:
        """(len(planes), ...) of (len(blended), ...)."""
        ...
