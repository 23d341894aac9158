"""How planes become a network's input, and its output heights again: one class a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.photometry import Sun
from orrery.systems.lunar_dtm.features import Planes, Turn
from orrery.systems.lunar_dtm.params import PaperRecipeParams, PhysicalRecipeParams

Array = NDArray[np.float32]
INCIDENCE_CENTRE_DEG, INCIDENCE_SCALE_DEG = 60.0, 20.0
SLOPE_GAIN = 3.0  # brings the coarse gradients (rms about 0.3) to order one
MIN_SPREAD_PX = (
    0.05  # below it a tile's coarse heights are flat, and dividing by their spread is dividing by noise
)


class Encoded(Protocol):
    """A tile as a network sees it, and the way back."""

    @property
    def inputs(self) -> Array:
        """(C, H, W) network input."""
        ...

    @property
    def base(self) -> Array:
        """(1, H, W) heights that the network's output is added to, in the units of its output."""
        ...

    def target(self, truth: Array) -> Array:
        """(1, H, W) what the network should give for true heights `truth`, (H, W) px."""
        ...

    def heights(self, output: Array) -> Array:
        """(H, W) heights in px from the first output plane."""
        ...

    def sigma(self, output: Array) -> Array | None:
        """(H, W) 1-sigma in px from the second output plane; None where the network has none."""
        ...


class Recipe(Protocol):
    """Turns planes into a network's input."""

    @property
    def channels(self) -> int:
        """Planes of a network's input."""
        ...

    def encode(self, planes: Planes) -> Encoded:
        """Prepare one tile."""
        ...


@dataclass(frozen=True)
class PhysicalTile:
    """A tile turned to the sun sector, with heights in px above a base solution."""

    inputs: Array
    base: Array
    turn: Turn

    def target(self, truth: Array) -> Array:
        """(1, H, W) true minus base heights, px, turned."""
        return self.turn.apply(truth)[None] - self.base

    def heights(self, output: Array) -> Array:
        """(H, W) heights, px, turned back."""
        return self.turn.undo(self.base[0] + output[0])

    def sigma(self, output: Array) -> Array:
        """(H, W) 1-sigma, px, turned back."""
        return self.turn.undo(np.exp(output[1]))


@dataclass(frozen=True)
class PhysicalRecipe:
    """Brightness, rendered coarse DEM, photoclinometry, coarse slopes and sun constants (orrery-dtm)."""

    params: PhysicalRecipeParams

    @property
    def channels(self) -> int:
        """Planes of the input."""
        return 4 + self.params.photoclinometry + 3 * self.params.sun_constants

    def encode(self, planes: Planes) -> PhysicalTile:
        """Turn a tile and stack its channels."""
        identity = Turn(0, False, planes.sun)
        turn = Turn.towards(planes.sun) if self.params.sun_sector else identity
        coarse, photoclinometry = turn.apply(planes.coarse), turn.apply(planes.photoclinometry)
        brightness, rendered = turn.apply(planes.brightness), turn.apply(planes.rendered)
        down, right = np.gradient(coarse)
        stack = [np.nan_to_num(brightness - 1), rendered - 1, right * SLOPE_GAIN, down * SLOPE_GAIN]
        if self.params.photoclinometry:
            stack.append(photoclinometry)
        if self.params.sun_constants:
            stack.extend(np.full_like(coarse, value) for value in _sun_constants(turn.sun))
        base = coarse + photoclinometry if self.params.base == "photoclinometry" else coarse
        return PhysicalTile(np.stack(stack).astype(np.float32), base[None].astype(np.float32), turn)


@dataclass(frozen=True)
class PaperTile:
    """A tile normalised as in Eqs. 2 and 3 of the paper."""

    inputs: Array
    base: Array
    mean: float
    spread: float
    bias: float
    own_statistics: bool

    def target(self, truth: Array) -> Array:
        """(1, H, W) normalised truth: by the coarse DEM's statistics, or by its own (the paper's text)."""
        mean, spread, bias = (
            _statistics(truth) if self.own_statistics else (self.mean, self.spread, self.bias)
        )
        return np.asarray(((truth - mean) / spread - bias)[None], np.float32)

    def heights(self, output: Array) -> Array:
        """(H, W) px: the exact inverse of Eq. 3, with the bias that Eq. 4 of the paper forgets."""
        return np.asarray((output[0] + self.bias) * self.spread + self.mean, np.float32)

    def sigma(self, output: Array) -> None:
        """The paper's network has no uncertainty."""
        return


@dataclass(frozen=True)
class PaperRecipe:
    """Image scaled to [0, 1], coarse heights standardised and shifted to a zero minimum (paper, Eqs. 2 and 3)."""

    params: PaperRecipeParams

    @property
    def channels(self) -> int:
        """Planes of the input."""
        return 2

    def encode(self, planes: Planes) -> PaperTile:
        """Normalise a tile."""
        low, high = (
            np.nanmin(planes.brightness, initial=np.inf),
            np.nanmax(planes.brightness, initial=-np.inf),
        )
        image = np.nan_to_num((planes.brightness - low) / max(float(high - low), 1e-6))
        mean, spread, bias = _statistics(planes.coarse)
        inputs = np.stack([image, (planes.coarse - mean) / spread - bias]).astype(np.float32)
        own = self.params.truth_statistics == "own"
        return PaperTile(inputs, np.zeros_like(inputs[:1]), mean, spread, bias, own)


def make_recipe(params: PhysicalRecipeParams | PaperRecipeParams) -> Recipe:
    """The recipe that the parameters name."""
    return PhysicalRecipe(params) if isinstance(params, PhysicalRecipeParams) else PaperRecipe(params)


def _sun_constants(sun: Sun) -> tuple[float, float, float]:
    azimuth = np.radians(sun.azimuth_deg)
    incidence = (sun.incidence_deg - INCIDENCE_CENTRE_DEG) / INCIDENCE_SCALE_DEG
    return float(np.sin(azimuth)), float(np.cos(azimuth)), incidence


def _statistics(heights: Array) -> tuple[float, float, float]:
    """Mean, spread and the bias that makes the normalised minimum zero, px (paper, Eq. 3)."""
    mean, spread = float(np.nanmean(heights)), max(float(np.nanstd(heights)), MIN_SPREAD_PX)
    return mean, spread, float(np.nanmin((heights - mean) / spread))
