"""Figures of the paper's Tables III and IV, and what they stand for in heights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.terrain_camera import PAPER_METRES_PER_PX, metres_per_px

Array = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Moments of estimates and truths, enough for every figure; those of several scenes add up.

    Attributes:
        count: of pixels.
        truth: sum of true residuals, px.
        estimate: sum of estimated ones.
        truth2, estimate2, product: sums of squares and of products.
    """

    count: float = 0
    truth: float = 0
    estimate: float = 0
    truth2: float = 0
    estimate2: float = 0
    product: float = 0

    @classmethod
    def of(cls, truth: Array, estimate: Array) -> Sums:
        """Of pixels, (N,) each."""
        t, e = truth.astype(np.float64), estimate.astype(np.float64)
        return cls(t.size, float(t.sum()), float(e.sum()), float(t @ t), float(e @ e), float(t @ e))

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def figures(self) -> dict[str, float]:
        """Mean and SD of the error, px; r; R2 over the truth's variance; the same over the estimate's, as printed by mistake."""
        n = max(self.count, 1)
        error_mean = (self.estimate - self.truth) / n
        squares = (self.estimate2 - 2 * self.product + self.truth2) / n
        truth_variance = self.truth2 / n - (self.truth / n) ** 2
        estimate_variance = self.estimate2 / n - (self.estimate / n) ** 2
        covariance = self.product / n - self.truth * self.estimate / n**2
        both = truth_variance * estimate_variance
        found = {"mean_px": -error_mean, "sd_px": max(squares - error_mean**2, 0) ** 0.5}
        if both > 0:
            found["r"] = covariance / both**0.5
        if truth_variance > 0:
            found["r2"] = 1 - squares / truth_variance
        if estimate_variance > 0:
            found["r2_swapped"] = 1 - squares / estimate_variance
        return found


def residual_figures(truth: Array, estimate: Array, gsd_m: float) -> dict[str, float]:
    """Figures of one scene, pooled over its pixels, (N,) each, in px; heights by the paper's scale and by geometry, m."""
    found = Sums.of(truth, estimate).figures()
    found["height_sd_m"] = found["sd_px"] * metres_per_px(gsd_m)
    found["height_sd_paper_m"] = found["sd_px"] * PAPER_METRES_PER_PX
    return found


def mean_over_patches(parts: Sequence[tuple[Array, Array]]) -> dict[str, float]:
    """Means of `r` and `r2` of patches (truth, estimate), as a table of patches has them."""
    figures = [Sums.of(truth, estimate).figures() for truth, estimate in parts if truth.size > 1]
    return {
        f"{name}_patches": float(np.mean([each[name] for each in figures if name in each]))
        for name in ("r", "r2")
        if any(name in each for each in figures)
    }


def coverage(truth: Array, estimate: Array, sigma: Array) -> float:
    """Share of pixels whose truth lies within 1-sigma of the estimate."""
    return float((np.abs(truth - estimate) <= sigma).mean())


def expected_r2(rho2: float, samples: int) -> float:
    """R2 of the mean of samples of a perfect posterior whose mean explains `rho2` of the variance."""
    return rho2 - (1 - rho2) / samples
