"""Ground of four kinds: flat mare, mountain, crater wall, and common highland."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orrery.seeds import stream
from orrery.worlds.common.craters import MOON, draw_craters
from orrery.worlds.common.relief import crater_wall, massif, self_affine
from orrery.worlds.common.stamping import add_craters
from orrery.worlds.moon.albedo import albedo
from orrery.worlds.moon.rocks import add_rocks

Array = NDArray[np.float32]
Kind = Literal["flat", "mountain", "wall", "highland"]
KINDS: tuple[Literal["flat", "mountain", "wall"], ...] = ("flat", "mountain", "wall")  # of lunar-dtm's scenes

SMALLEST_CRATER_PX = 3.0
LARGEST_CRATER_M = 800.0
# Creep has rounded the ground between craters: without this, self-affine ground is sandpaper at the scale of a pixel.
CREEP_SMOOTHING_M = 4.0


@dataclass(frozen=True)
class Nature:
    """What makes a kind of ground; ranges are drawn from evenly.

    Attributes:
        hurst: exponent of the ground between craters; medians of Rosenburg et al. (2011, J. Geophys. Res. 116, E02001,
            Table 2): 0.76 in the maria, 0.95 in the highlands. Median slopes over 17 m are 2.0 and 7.5 degrees there; so are those of
            "flat" and "highland".
        roughness_m: root mean square height difference over 100 m of that ground.
        relief_m: height of the massif or wall; none on the mare.
        age_ga: of the surface.
        retention: share of the crater equilibrium that it holds; steep ground sheds its craters (Basilevsky 1976).
    """

    hurst: float
    roughness_m: tuple[float, float]
    relief_m: tuple[float, float]
    age_ga: tuple[float, float]
    retention: tuple[float, float]


NATURES: dict[Kind, Nature] = {
    "flat": Nature(0.76, (1.0, 1.7), (0, 0), (2.5, 3.5), (0.8, 1.1)),
    "mountain": Nature(0.95, (9.0, 14.0), (130, 260), (3.8, 4.0), (0.35, 0.6)),
    "wall": Nature(0.95, (6.0, 9.0), (450, 700), (1.0, 3.0), (0.25, 0.45)),
    "highland": Nature(0.95, (7.0, 11.0), (0, 0), (3.8, 4.0), (0.5, 0.8)),
}


@dataclass(frozen=True)
class Ground:
    """Truth of a place: heights, m, and albedo over its mean, both (H, W)."""

    height_m: Array
    albedo: Array
    gsd_m: float


def make_ground(kind: Kind, shape: tuple[int, int], gsd_m: float, seed: int, name: str) -> Ground:
    """Ground of a kind, the same for the same seed and name.

    Args:
        kind: flat, mountain, wall or highland.
        shape: (H, W), px.
        gsd_m: pixel size.
        seed: of the world.
        name: of the place; each part of it has its own stream.
    """
    nature = NATURES[kind]
    drawn = stream(seed, "moon", name, "nature")
    roughness, age, retention = (
        drawn.uniform(*span) for span in (nature.roughness_m, nature.age_ga, nature.retention)
    )
    height, steepness = _uncratered(
        kind, shape, gsd_m, roughness, drawn.uniform(*nature.relief_m), seed, name
    )
    extent = (shape[0] * gsd_m, shape[1] * gsd_m)
    craters = draw_craters(
        MOON,
        extent,
        SMALLEST_CRATER_PX * gsd_m,
        LARGEST_CRATER_M,
        age,
        retention,
        stream(seed, "moon", name, "craters"),
    )
    add_craters(height, gsd_m, craters)
    add_rocks(height, gsd_m, craters, steepness, stream(seed, "moon", name, "rocks"))
    height -= height.mean(dtype=np.float64)
    return Ground(height, albedo(height, gsd_m, craters, stream(seed, "moon", name, "albedo")), gsd_m)


def _uncratered(
    kind: Kind,
    shape: tuple[int, int],
    gsd_m: float,
    roughness_m: float,
    relief_m: float,
    seed: int,
    name: str,
) -> tuple[Array, Array | None]:
    """Heights, m, before any crater, and the share of steep wall at each pixel where there is a wall."""
    ground = stream(seed, "moon", name, "ground")
    smoothing_m = max(CREEP_SMOOTHING_M, gsd_m)
    height = roughness_m * self_affine(shape, gsd_m, NATURES[kind].hurst, ground, smoothing_m=smoothing_m)
    form = stream(seed, "moon", name, "form")
    match kind:
        case "flat" | "highland":
            return height, None
        case "mountain":
            return height + massif(shape, gsd_m, relief_m, form), None
        case "wall":
            wall, steepness = crater_wall(shape, gsd_m, relief_m, form)
            return height + wall, steepness
