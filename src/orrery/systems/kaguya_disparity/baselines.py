"""What must be beaten: nothing at all, low-pass filters, and a linear model of many windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orrery.systems.kaguya_disparity.aligned import AlignedPair, Planes
from orrery.systems.kaguya_disparity.features import smoothed

Array = NDArray[np.float32]

PAPER_SIGMA_PX = 3.0
SIGMAS_PX = (0.7, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 12.0)
FURTHER = ("window-5", "window-11", "prefiltered")
LARGEST_PX = 0.5  # of a difference of disparities: what is larger is a false match
RIDGE = 1e-3
EVERY = 7  # pixel of the training scenes is fitted to: neighbours tell the same


class Filter(Protocol):
    """Anything that estimates the residual without a network."""

    @property
    def name(self) -> str:
        """Row of the tables."""
        ...

    def estimate(self, planes: Planes) -> Array:
        """(H, W) residual, px."""
        ...


@dataclass(frozen=True)
class Nothing:
    """The disparity of the compressed pair as it is."""

    name: str = "none"

    def estimate(self, planes: Planes) -> Array:
        """(H, W) of 0 px."""
        return np.zeros_like(planes["disparity"])


@dataclass(frozen=True)
class LowPass:
    """What a Gaussian filter of the disparity takes away, times a gain."""

    sigma_px: float = PAPER_SIGMA_PX
    gain: float = 1.0
    name: str = "low-pass"

    def estimate(self, planes: Planes) -> Array:
        """(H, W) residual, px."""
        return self.gain * low_pass(planes["disparity"], self.sigma_px)


@dataclass(frozen=True)
class Linear:
    """A weighted sum of what Gaussians of eight widths take away and of what other windows find."""

    weights: Array
    name: str = "linear"

    def estimate(self, planes: Planes) -> Array:
        """(H, W) residual, px."""
        return np.asarray(np.tensordot(self.weights, _regressors(planes), 1), np.float32)


def low_pass(disparity_px: Array, sigma_px: float) -> Array:
    """Smoothed less unsmoothed disparity, (H, W) px."""
    return smoothed(disparity_px, sigma_px) - disparity_px


def baselines(scenes: Sequence[AlignedPair]) -> list[Filter]:
    """All of them, fitted to training scenes under their standard condition."""
    planes = [scene.planes(scene.conditions[0]) for scene in scenes]
    residuals = np.concatenate([each["residual"][_used(each)] for each in planes])
    regressors = np.concatenate([_regressors(each, _used(each)) for each in planes], 1).astype(np.float64)
    gram = regressors @ regressors.T + RIDGE * np.eye(len(regressors))
    weights = np.linalg.solve(gram, regressors @ residuals)
    return [Nothing(), LowPass(), _tuned(regressors, residuals), Linear(weights.astype(np.float32))]


def _tuned(regressors: NDArray[np.float64], residuals: Array) -> LowPass:
    """The width and gain that leave least of the training residuals."""
    removed = -regressors[: len(SIGMAS_PX)]
    powers, products = (removed**2).sum(1), removed @ residuals
    best = int(np.argmax(products**2 / powers))
    return LowPass(SIGMAS_PX[best], float(products[best] / powers[best]), "low-pass-tuned")


def _used(planes: Planes) -> tuple[NDArray[np.intp], ...]:
    """Every so many valid pixels of a scene."""
    rows, columns = np.nonzero(planes["valid"] > 0)
    return rows[::EVERY], columns[::EVERY]


def _regressors(planes: Planes, used: tuple[NDArray[np.intp], ...] | None = None) -> Array:
    """(11, H, W) differences of disparities, px; (11, N) of chosen pixels."""
    found = [-low_pass(planes["disparity"], sigma) for sigma in SIGMAS_PX] + [
        planes[name] for name in FURTHER
    ]
    chosen = found if used is None else [plane[used] for plane in found]
    return np.clip(np.stack(chosen), -LARGEST_PX, LARGEST_PX)
