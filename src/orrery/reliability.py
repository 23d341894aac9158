"""Whether a predicted 1-sigma means what it says: the share of errors within a multiple of it, against a normal error's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float32]
EXPECTED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def reliability(error: Array, sigma: Array) -> dict[str, list[float]]:
    """Shares of errors that should lie within a central interval, and shares that do.

    Args:
        error: estimate minus truth, any shape; NaN where one is unknown.
        sigma: predicted 1-sigma in the same unit, of the same shape.

    Returns:
        ``expected``: probability of each interval under a normal distribution with that sigma; ``observed``: share of the
        known pixels in it. Empty where nothing is known.
    """
    known = np.isfinite(error) & np.isfinite(sigma)
    if not known.any():
        return {}
    size, deviation = np.abs(error[known]), sigma[known]
    multiples = stats.norm.ppf((1 + np.array(EXPECTED)) / 2)
    return {
        "expected": list(EXPECTED),
        "observed": [float((size <= multiple * deviation).mean()) for multiple in multiples],
    }
