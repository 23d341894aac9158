"""What a trained model is given: a part of an image, and what is known of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


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
