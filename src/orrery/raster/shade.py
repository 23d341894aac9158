"""Slopes and shading of a height field, as a camera sees it under the sun; straight from above unless a view is given.

Heights are (height, width) arrays, m, row 0 at the top; NaN stays NaN and spreads to its neighbours.
"""

from __future__ import annotations

from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.instruments.photometry import (
    NADIR,
    Sun,
    View,
    hapke,
    lambert,
    lommel_seeliger,
    lunar_lambert,
)

Array = NDArray[np.float32]
STEEPEST_SLOPE = 1.0  # loose ground stands at 34 degrees (0.67); what is brighter still is albedo
EDGE_ON = np.float32(0.02)  # cosine of emission of facets that the camera hardly sees
ShadingModel = Literal["lunar-lambert", "lambert", "lommel-seeliger", "hapke"]


def slopes(height_m: Array, gsd_m: float) -> tuple[Array, Array]:
    """Height differences per metre, (dz/dx to the right, dz/dy upwards), by central differences.

    Raises:
        OrreryError: fewer than two rows or columns.
    """
    if min(height_m.shape) < 2:
        raise OrreryError(
            f"a height field of {height_m.shape[0]} x {height_m.shape[1]} has no slopes",
            remedy="give at least 2 x 2 pixels",
        )
    down, right = np.gradient(np.asarray(height_m, np.float32), np.float32(gsd_m))
    return np.asarray(right), np.asarray(-down)


def slope_deg(height_m: Array, gsd_m: float) -> Array:
    """Steepest slope, degrees from the horizontal."""
    return np.asarray(np.degrees(np.arctan(np.hypot(*slopes(height_m, gsd_m)))), np.float32)


def shade(
    height_m: Array,
    gsd_m: float,
    sun: Sun,
    model: ShadingModel = "lunar-lambert",
    view: View = NADIR,
) -> Array:
    """Reflectance over that of flat ground under the same sun and from the same view.

    Facets turned away from the sun get 0, those turned away from the camera are seen edge on; shadows cast by other facets
    are not drawn.
    """
    dz_dx, dz_dy = slopes(height_m, gsd_m)
    upright = 1 / np.sqrt(1 + dz_dx**2 + dz_dy**2)

    def cosine(direction: tuple[float, float, float]) -> Array:
        right, up, zenith = direction
        return np.asarray((zenith - right * dz_dx - up * dz_dy) * upright)

    mu0 = np.maximum(cosine(sun.vector()), 0)
    mu = upright if view == NADIR else np.maximum(cosine(view.vector()), EDGE_ON)
    return np.asarray(_reflectance(mu0, mu, sun, model, view) / _flat(sun, model, view), np.float32)


def sunward_slope(relative: Array, sun: Sun, model: ShadingModel = "lunar-lambert") -> Array:
    """Slope towards the sun, rise over run, that explains a brightness: the inverse of `shade` where the ground tilts only so.

    The mean of these slopes over a block of pixels is the slope of the block, which the mean brightness is not: shading
    is not linear, and shadows make it one-sided.

    Args:
        relative: brightness over that of flat ground; NaN stays NaN.
        sun: direction in the image frame.
        model: photometric function.
    """
    _, _, zenith = sun.vector()
    horizontal = np.sqrt(1 - zenith**2)
    # positive is up against the sun's azimuth: the facet that faces the sun has its normal towards it
    tilt = np.linspace(-zenith / max(horizontal, 1e-3), STEEPEST_SLOPE, 4096, dtype=np.float32)
    mu = np.asarray(1 / np.sqrt(1 + tilt**2), np.float32)
    mu0 = np.maximum((zenith + horizontal * tilt) * mu, 0)
    table = _reflectance(mu0, mu, sun, model) / _flat(sun, model)
    brightest = int(np.argmax(table))
    rising = slice(0, brightest + 1)
    return np.asarray(np.interp(relative, table[rising], tilt[rising]), np.float32)


def hillshade_u8(
    height_m: Array, gsd_m: float, sun: Sun | None = None, exaggeration: float = 1.0
) -> NDArray[np.uint8]:
    """Lambert shading as 8-bit gray for pictures: flat ground is mid-gray under any sun, invalid pixels are 0.

    Args:
        height_m: heights.
        gsd_m: pixel size, m.
        sun: direction; the cartographers' north-west at 45 degrees when left out.
        exaggeration: factor on the heights.
    """
    gray = shade(
        np.asarray(height_m, np.float32) * np.float32(exaggeration), gsd_m, sun or Sun(315, 45), "lambert"
    )
    return np.where(np.isfinite(gray), np.clip(128 * gray, 1, 255), 0).astype(np.uint8)


def _flat(sun: Sun, model: ShadingModel, view: View = NADIR) -> float:
    """Reflectance of level ground."""
    mu0, mu = (np.full(1, direction.vector()[2], np.float32) for direction in (sun, view))
    return float(_reflectance(mu0, mu, sun, model, view)[0])


def _reflectance(mu0: Array, mu: Array, sun: Sun, model: ShadingModel, view: View = NADIR) -> Array:
    """Reflectance for cosines of incidence and emission."""
    phase_deg = sun.incidence_deg if view == NADIR else view.phase_deg(sun)
    match model:
        case "lunar-lambert":
            return lunar_lambert(mu0, mu, phase_deg)
        case "lambert":
            return lambert(mu0, mu)
        case "lommel-seeliger":
            return lommel_seeliger(mu0, mu)
        case "hapke":
            return hapke(mu0, mu, phase_deg)
        case _:
            assert_never(model)
