"""What a spectral observation lacks, and a prediction matched to it, on the observation's own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from orrery.params import Count, Positive, Section

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
NOTHING, OBSERVED, PREDICTED, REPLACED = 0, 1, 2, 3  # origin of a value
ORIGINS = {
    OBSERVED: "observed",
    PREDICTED: "predicted: not observed",
    REPLACED: "predicted: the observation is a fault",
}
ROUNDS = 3  # of fitting and of setting faults aside; the second changes hardly anything
# Over what distance a difference is carried, px, and the share of known surroundings at which half of it is believed
CARRIED = ((6.0, 0.05), (2.0, 0.02), (0.7, 0.05))
LEAST_PX = 50  # common pixels of a band, for two unknowns
SIGMA_OF_MAD = 1.4826
LEAST_SIGMA = 1e-4  # I/F: no observation is surer (Murchie et al. 2007: 1/400 of I/F 0.2 at best)


class FillParams(Section):
    """What counts as a fault of an observation."""

    gap_px: Count = Field(8, description="widest stripe without data that is a gap, px of the cube")
    fault_sigmas: Positive = Field(
        8.0,
        description="a value further off, in robust sigmas, from what its surroundings and the prediction say",
    )
    window_px: Count = Field(7, description="side of these surroundings; faults wider than half of it stay")


@dataclass(frozen=True)
class Match:
    """How one band's prediction was brought onto its observation: gain times prediction plus offset.

    Attributes:
        gain: as a share.
        offset: I/F.
        correlation: between the two, where both are known; NaN for a band that was not observed.
        sigma: robust standard deviation of their difference after the match, I/F; NaN likewise.
    """

    gain: float
    offset: float
    correlation: float
    sigma: float


@dataclass(frozen=True)
class Filled:
    """An observation without gaps.

    Attributes:
        values: (B, H, W) I/F, NaN outside the footprint.
        origin: (B, H, W) uint8, see `ORIGINS`; 0 outside.
        matches: one a band.
    """

    values: Array
    origin: NDArray[np.uint8]
    matches: tuple[Match, ...]


def footprint(known: Mask, gap_px: int) -> Mask:
    """(H, W) pixels inside an observation: those that are known, holes among them, and stripes up to `gap_px` wide."""
    reach = -(-gap_px // 2)
    around = np.pad(known, 2 * reach)
    side = np.ones((2 * reach + 1, 2 * reach + 1), bool)
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(around, side))
    inside: Mask = closed[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    return inside


def fill(observed: Array, predicted: Array, wavelengths_nm: Sequence[float], params: FillParams) -> Filled:
    """Fill an observation by a prediction.

    Args:
        observed: (B, H, W) I/F, NaN where nothing was observed; a band that is all NaN was not observed at all.
        predicted: (B, H, W) I/F on the same pixels, NaN where nothing was predicted.
        wavelengths_nm: of the bands: one that was not observed is scaled as its nearest neighbour.
        params: what counts as a fault.
    """
    known = np.isfinite(observed)
    inside = footprint(np.asarray(known.any(axis=0)), params.gap_px)
    matches, faults = [], np.zeros_like(known)
    for band in range(len(observed)):
        match, faults[band] = _match(observed[band], predicted[band], params)
        matches.append(match)
    matches = _for_unobserved(matches, observed, predicted, wavelengths_nm)
    gains, offsets = (
        np.array([getattr(match, name) for match in matches], np.float32)[:, None, None]
        for name in ("gain", "offset")
    )
    kept = known & ~faults
    from_model = ~kept & inside & np.isfinite(predicted)
    matched = gains * predicted + offsets
    left = np.stack([carried(np.where(keep, rest, np.float32(np.nan)))
                     for keep, rest in zip(kept, observed - matched, strict=True)])  # fmt: skip
    values = np.where(kept, observed, np.where(from_model, matched + left, np.float32(np.nan)))
    origin = np.where(kept, OBSERVED, np.where(from_model, np.where(faults, REPLACED, PREDICTED), NOTHING))
    return Filled(values.astype(np.float32), origin.astype(np.uint8), tuple(matches))


def carried(rest: Array) -> Array:
    """What the observation around a gap says beyond the matched prediction, carried into it, (H, W); it fades with the distance.

    Broad differences first, then what is left of finer ones: a stripe of a pixel is filled as by interpolation, the middle of a
    wide gap as predicted.

    Args:
        rest: (H, W) observation less matched prediction, NaN where nothing was observed.
    """
    known = np.isfinite(rest)
    left, total = np.where(known, rest, 0).astype(np.float32), np.zeros_like(rest)
    for sigma_px, doubt in CARRIED:
        weight = ndimage.gaussian_filter(known.astype(np.float32), sigma_px)
        mean = ndimage.gaussian_filter(left, sigma_px) / (weight + np.float32(doubt))
        total += mean
        left = np.where(known, left - mean, np.float32(0))
    return total


def _match(observed: Array, predicted: Array, params: FillParams) -> tuple[Match, Mask]:
    """The match of one band, and which of its observed pixels are faults; none where too few are known to tell."""
    both = np.isfinite(observed) & np.isfinite(predicted)
    faults = np.zeros(both.shape, bool)
    if both.sum() < LEAST_PX:
        return Match(float("nan"), float("nan"), float("nan"), float("nan")), faults
    gain, offset = 1.0, float(np.median((observed - predicted)[both]))
    for _ in range(ROUNDS):
        rest = np.where(both, observed - gain * predicted - offset, 0).astype(np.float32)
        apart = np.abs(rest - ndimage.median_filter(rest, params.window_px))
        spread = max(SIGMA_OF_MAD * float(np.median(apart[both])), LEAST_SIGMA)
        faults = both & (apart > params.fault_sigmas * spread)
        gain, offset = _line(predicted[both & ~faults], observed[both & ~faults])
    good = both & ~faults
    left = (observed - gain * predicted - offset)[good]
    sigma = SIGMA_OF_MAD * float(np.median(np.abs(left - np.median(left))))
    return Match(gain, offset, float(np.corrcoef(observed[good], predicted[good])[0, 1]), sigma), faults


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and intercept by least squares; slope 1 where x does not vary."""
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    spread = float(x64.var())
    slope = float(np.mean((x64 - x64.mean()) * (y64 - y64.mean()))) / spread if spread > 0 else 1.0
    return slope, float(y64.mean()) - slope * float(x64.mean())


def _for_unobserved(
    matches: Sequence[Match], observed: Array, predicted: Array, wavelengths_nm: Sequence[float]
) -> list[Match]:
    """Bands without a match of their own take the level of the nearest that has one, and no offset: light is common to all."""
    own = [index for index, match in enumerate(matches) if np.isfinite(match.gain)]
    out = list(matches)
    for index in (index for index in range(len(matches)) if index not in own):
        if not own:
            out[index] = Match(1.0, 0.0, float("nan"), float("nan"))
            continue
        near = min(own, key=lambda other: abs(wavelengths_nm[other] - wavelengths_nm[index]))
        both = np.isfinite(observed[near]) & np.isfinite(predicted[near])
        level = float(np.median(observed[near][both]) / np.median(predicted[near][both]))
        out[index] = Match(level, 0.0, float("nan"), float("nan"))
    return out
