"""What the ground is made of: abundances of minerals, which follow beds, dunes and ejecta only in part, under dust."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.shade import slope_deg
from orrery.seeds import stream
from orrery.worlds.common.craters import Craters
from orrery.worlds.common.relief import self_affine
from orrery.worlds.mars.minerals import Name
from orrery.worlds.mars.regions import Nature, Recipe, minerals_of
from orrery.worlds.mars.terrain import Ground

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

# Alteration that no form shows: shares vary by this much (one standard deviation of their logarithm) over some hundred metres.
PATCHY = 0.3
# Beds of one kind differ among themselves by as much.
BED_SPREAD = 0.3
# Grain size, packing and roughness below the pixel brighten or darken all bands alike: by unit, and from place to place.
UNIT_BRIGHTNESS, LOCAL_BRIGHTNESS = 0.05, 0.05
# Dust: swells of its cover, drifts in hollows, and the slope from which on it slides off.
DUST_SWELLS, DUST_FINE, DUST_HOLLOWS = 0.16, 0.05, 0.12
STEEP_DEG = 18.0
# Rough outcrops hold less dust than smooth floor and cap.
FLOOR_DUST, BED_DUST, CAP_DUST = 1.3, 0.65, 1.1
LEAST_DUST, MOST_DUST = 0.03, 0.92
# Sand caught in hollows off the dunes.
SAND_HOLLOWS = 0.35
HOLLOW_M = 50.0
# A crater as fresh as this throws out what lies below, this many radii far, and clears it of dust.
FRESH_CREEP, EJECTA_RADII, SMALLEST_EJECTA_M = 0.05, 2.5, 60.0


@dataclass(frozen=True)
class Composition:
    """Shares of the ground, which add up to 1 at each pixel, and how bright it is for its minerals.

    Attributes:
        names: end-members, K.
        shares: (K, H, W).
        brightness: factor of all bands, (H, W).
    """

    names: tuple[Name, ...]
    shares: Array
    brightness: Array


def compose(ground: Ground, nature: Nature, seed: int, name: str) -> Composition:
    """Abundances of a place without its dust, which comes and goes (`dusted`).

    Args:
        ground: its terrain.
        nature: of its region.
        seed: of the world.
        name: of the scene.
    """
    names = minerals_of(nature)
    bedrock = _bedrock(ground, nature, names, stream(seed, "mars", name, "beds"))
    patches = stream(seed, "mars", name, "patches")
    for index in range(len(names)):
        field = self_affine(ground.height_m.shape, ground.gsd_m, 0.4, patches, smoothing_m=15, longest_m=700)
        bedrock[index] *= np.exp(PATCHY * (field - field.mean()) / field.std())
    bedrock /= bedrock.sum(0)
    sand = np.maximum(ground.dunes, SAND_HOLLOWS * _hollows(ground) * (nature.dunes > 0.04))
    share = _as_vector(nature.sand, names)[:, None, None]
    shares = np.asarray(bedrock * (1 - sand) + share * sand, np.float32)
    return Composition(names, shares, _brightness(ground, stream(seed, "mars", name, "brightness")))


def dust_cover(ground: Ground, nature: Nature, seed: int, name: str) -> Array:
    """Dust on the ground, 0 to 1, (H, W): in swells and hollows, less on steep slopes, dunes and fresh ejecta."""
    rng = stream(seed, "mars", name, "dust")
    mean = nature.dust * rng.uniform(0.7, 1.3)
    swells = self_affine(ground.height_m.shape, ground.gsd_m, 0.5, rng, smoothing_m=30)
    fine = self_affine(ground.height_m.shape, ground.gsd_m, 0.2, rng, longest_m=200)
    unit = np.where(ground.bed == 0, FLOOR_DUST, np.where(ground.bed > ground.beds, CAP_DUST, BED_DUST))
    cover = (
        mean * ndimage.gaussian_filter(unit, 2)
        + DUST_SWELLS * (swells - swells.mean()) / swells.std()
        + DUST_FINE * fine / fine.std()
    )
    cover += DUST_HOLLOWS * _hollows(ground)
    steep = np.clip(slope_deg(ndimage.gaussian_filter(ground.height_m, 1), ground.gsd_m) / STEEP_DEG, 0, 1)
    cover *= (1 - 0.7 * steep**2) * (1 - 0.85 * ground.dunes) * (1 - _ejecta(ground.craters, ground))
    return np.asarray(np.clip(cover, LEAST_DUST, MOST_DUST), np.float32)


def changed_dust(cover: Array, gsd_m: float, days: float, rng: np.random.Generator) -> Array:
    """The cover some days later: winds and fallout change it by swells, at most by a tenth of the ground in one deviation."""
    if days == 0:
        return cover
    swells = self_affine(cover.shape, gsd_m, 0.5, rng, smoothing_m=60)
    change = 0.1 * (1 - np.exp(-days / 90)) * (swells - swells.mean()) / swells.std()
    return np.asarray(np.clip(cover + change, LEAST_DUST, MOST_DUST), np.float32)


def dusted(composition: Composition, cover: Array) -> Array:
    """Shares under a cover of dust, times the brightness, (K, H, W)."""
    shares = composition.shares * (1 - cover)
    shares[composition.names.index("dust")] += cover
    return np.asarray(shares * composition.brightness)


def _bedrock(ground: Ground, nature: Nature, names: tuple[Name, ...], rng: np.random.Generator) -> Array:
    """Shares of floor, beds and cap, (K, H, W); beds of one kind lie together, the lowest kind lowest."""
    kinds = np.sort(rng.integers(0, len(nature.beds), ground.beds))
    recipes = [nature.ground, *(nature.beds[kind] for kind in kinds), nature.caprock]
    table = np.stack([_as_vector(recipe, names) for recipe in recipes])
    table *= rng.lognormal(0, BED_SPREAD, table.shape)
    table /= table.sum(1, keepdims=True)
    shares = table.astype(np.float32).T[:, ground.bed]
    return np.asarray(ndimage.gaussian_filter(shares, (0, 0.8, 0.8)), np.float32)


def _brightness(ground: Ground, rng: np.random.Generator) -> Array:
    """Brightness that grains and texture give to floor, beds, cap and dunes, (H, W)."""
    units = rng.lognormal(0, UNIT_BRIGHTNESS, ground.beds + 2)[ground.bed]
    local = self_affine(ground.height_m.shape, ground.gsd_m, 0.2, rng, smoothing_m=5, longest_m=1000)
    swells = 1 + LOCAL_BRIGHTNESS * (local - local.mean()) / local.std()
    return np.asarray(ndimage.gaussian_filter(units, 0.8) * np.clip(swells, 0.7, 1.3), np.float32)


def _as_vector(recipe: Recipe, names: tuple[Name, ...]) -> Floats:
    shares = np.array([recipe.get(name, 0.0) for name in names], float)
    return np.asarray(shares / shares.sum())


def _hollows(ground: Ground) -> Array:
    """How much a pixel lies below its surroundings, 0 to 1."""
    depth = ndimage.gaussian_filter(ground.height_m, HOLLOW_M / ground.gsd_m) - ground.height_m
    return np.asarray(np.clip(depth / 3.0, 0, 1), np.float32)


def _ejecta(craters: Craters, ground: Ground) -> Array:
    """Cover by the ejecta of fresh craters, 0 to 1."""
    cover = np.zeros(ground.height_m.shape, np.float32)
    chosen = craters.where((craters.creep < FRESH_CREEP) & (craters.diameter_m >= SMALLEST_EJECTA_M))
    rows, columns = np.indices(cover.shape, np.float32)
    for x, y, diameter in zip(chosen.x_m, chosen.y_m, chosen.diameter_m, strict=True):
        radius = diameter / 2 / ground.gsd_m
        distance = np.hypot(rows - (y / ground.gsd_m - 0.5), columns - (x / ground.gsd_m - 0.5)) / radius
        np.maximum(cover, np.clip((EJECTA_RADII - distance) / (EJECTA_RADII - 1), 0, 1), out=cover)
    return cover
