"""Transverse dunes of dark sand: where they lie, and their form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.worlds.common.relief import self_affine

Array = NDArray[np.float32]

# Dark dunes on Mars have wavelengths from some 60 m up and heights near a fifteenth of them (Lorenz et al. 2014; Ewing et al. 2010).
WAVELENGTH_M = (70.0, 160.0)
HEIGHT_SHARE = 1 / 14
# The lee is the last third of a wave; it stands near the angle of repose.
LEE = 0.3
# How ragged a field's outline is, and how wide its margin of thinning sand, in deviations of what decides where sand lies.
RAGGED, SAND_RAMP = 0.15, 0.8
# Hollows are judged, and the field's edge is drawn, at these lengths.
HOLLOW_M = 250.0
EDGE_M = 30.0


def dune_cover(height_m: Array, gsd_m: float, share: float, rng: np.random.Generator) -> Array:
    """Cover by dunes, 0 to 1, (H, W): fields in hollows, with ragged edges.

    Args:
        height_m: heights.
        gsd_m: pixel size.
        share: of the ground that dunes take.
        rng: stream of the field's outline.
    """
    amount = min(0.6, share * rng.uniform(0.3, 1.7))
    hollow = -ndimage.gaussian_filter(height_m, HOLLOW_M / gsd_m / 2)
    field = self_affine(height_m.shape, gsd_m, 0.5, rng, smoothing_m=20, longest_m=1500)
    ragged = self_affine(height_m.shape, gsd_m, 0.5, rng, smoothing_m=EDGE_M / 3, longest_m=150)
    score = _standard(hollow) + 0.7 * _standard(field) + RAGGED * _standard(ragged)
    # Sand thins out towards a field's edge: first the troughs are bare, then all is.
    return np.asarray(np.clip(0.5 + (score - np.quantile(score, 1 - amount)) / SAND_RAMP, 0, 1), np.float32)


def dune_waves(shape: tuple[int, int], gsd_m: float, rng: np.random.Generator) -> Array:
    """Heights of transverse dunes, m: gentle windward slopes and steep lees, with crests that bend, fork and end.

    Args:
        shape: (H, W), px.
        gsd_m: pixel size.
        rng: stream of wind and crests.
    """
    wavelength = np.float32(rng.uniform(*WAVELENGTH_M))
    bearing = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(shape, np.float32) * np.float32(gsd_m)
    downwind = columns * np.float32(np.cos(bearing)) + rows * np.float32(np.sin(bearing))
    bent = self_affine(shape, gsd_m, 0.7, rng, smoothing_m=40, longest_m=800)
    place = ((downwind + wavelength * bent * np.float32(0.35)) / wavelength) % 1
    wave = np.where(place < 1 - LEE, place / (1 - LEE), (1 - place) / LEE)
    uneven = self_affine(shape, gsd_m, 0.5, rng, smoothing_m=20, longest_m=400)
    height = wavelength * np.float32(HEIGHT_SHARE) * wave * np.clip(0.8 + 0.4 * uneven, 0.1, 1.6)
    return np.asarray(ndimage.gaussian_filter(height, 1), np.float32)


def laid_dunes(cover: Array, waves_m: Array) -> tuple[Array, Array]:
    """Height of the sand, m, and how much of the ground it hides, 0 to 1.

    Args:
        cover: how far inside a field each pixel lies, 0 to 1.
        waves_m: form of full-grown dunes.
    """
    crest = waves_m / max(float(waves_m.max()), 1e-6)
    # Where sand is scarce only the crests hold any: single barchans instead of a field.
    sand = np.clip(1.5 * cover - 0.9 * (1 - crest) * (1 - cover), 0, 1)
    return np.asarray(sand * waves_m, np.float32), np.asarray(1 - np.exp(-2.5 * sand), np.float32)


def _standard(field: Array) -> Array:
    """Mean 0, standard deviation 1."""
    return np.asarray((field - field.mean()) / field.std(), np.float32)
