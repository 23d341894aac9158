"""Martian ground: basin floor, layered slopes and cap rock cut from one relief, then craters, then dunes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.seeds import stream
from orrery.world_params import Region
from orrery.worlds.common.craters import MARS, Craters, draw_craters
from orrery.worlds.common.relief import self_affine
from orrery.worlds.common.stamping import add_craters
from orrery.worlds.mars.dunes import dune_cover, dune_waves, laid_dunes
from orrery.worlds.mars.regions import REGIONS, Nature

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

SMALLEST_CRATER_PX = 3.0
LARGEST_CRATER_M = 700.0
HURST = 0.8
# Wind and creep have rounded the relief at this length; roughness below it comes extra.
SMOOTHING_M = 40.0
ROUGHNESS_HURST, ROUGHNESS_M = 0.6, 2.0
# Outcrops are ragged: what weathering adds to the relief before beds are cut from it.
FRAYED_M = 0.7
# Slope of a bed over that of the relief it is cut from: resistant beds stand out as scarps, soft ones as benches.
HARD, SOFT = (1.8, 3.6), (0.25, 0.8)
FLOOR_SLOPE, SCARP_SLOPE, CAP_SLOPE = 0.25, 4.0, 0.2
# How much of the roughness floor, beds and cap show.
FLOOR_ROUGH, BED_ROUGH, CAP_ROUGH = 0.6, 1.3, 0.9


@dataclass(frozen=True)
class Ground:
    """Truth of a place; all arrays are (H, W).

    Attributes:
        height_m: heights, mean 0.
        bed: 0 is the floor, then the beds upwards, the last is the cap.
        beds: number of beds between floor and cap.
        dunes: cover by dunes, 0 to 1.
        craters: positions from the upper left corner.
        gsd_m: pixel size.
    """

    height_m: Array
    bed: NDArray[np.int16]
    beds: int
    dunes: Array
    craters: Craters
    gsd_m: float


def make_ground(region: Region, shape: tuple[int, int], gsd_m: float, seed: int, name: str) -> Ground:
    """Ground of a region, the same for the same seed and name.

    Args:
        region: whose nature it has.
        shape: (H, W), px.
        gsd_m: pixel size.
        seed: of the world.
        name: of the scene; each part has its own stream.
    """
    nature = REGIONS[region]
    relief = nature.relief_m * self_affine(
        shape, gsd_m, HURST, stream(seed, "mars", name, "relief"), smoothing_m=SMOOTHING_M
    )
    frayed = stream(seed, "mars", name, "frayed")
    relief += FRAYED_M * self_affine(shape, gsd_m, 0.5, frayed, smoothing_m=gsd_m, longest_m=200)
    edges, rises = _strata(relief, nature, stream(seed, "mars", name, "strata"))
    height = np.interp(relief, edges, rises).astype(np.float32)
    bed = np.digitize(relief, edges[1:-1]).astype(np.int16)
    beds = edges.size - 3
    rough = np.where(bed == 0, FLOOR_ROUGH, np.where(bed > beds, CAP_ROUGH, BED_ROUGH)).astype(np.float32)
    fine = stream(seed, "mars", name, "roughness")
    height += (
        ROUGHNESS_M
        * ndimage.gaussian_filter(rough, 2)
        * self_affine(shape, gsd_m, ROUGHNESS_HURST, fine, smoothing_m=gsd_m, longest_m=300)
    )
    craters = _craters(nature, shape, gsd_m, stream(seed, "mars", name, "craters"))
    add_craters(height, gsd_m, craters)
    winds = stream(seed, "mars", name, "dunes")
    field = dune_cover(height, gsd_m, nature.dunes, winds)
    sand_m, dunes = laid_dunes(field, dune_waves(shape, gsd_m, winds))
    height += sand_m
    height -= height.mean(dtype=np.float64)
    return Ground(height, bed, beds, dunes, craters, gsd_m)


def _strata(relief: Array, nature: Nature, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Relief at the edges of floor, beds and cap, and the height that erosion has given each of them, m."""
    floor, cap = (share * rng.uniform(0.6, 1.4) for share in (nature.floor, nature.cap))
    low, high = np.quantile(relief, [floor, 1 - cap])
    number = max(2, round(float(high - low) / nature.bed_m))
    thickness = rng.lognormal(0, 0.5, number)
    tops = low + (high - low) * np.cumsum(thickness) / thickness.sum()
    edges = np.concatenate([[relief.min() - 1, low], tops, [relief.max() + 1]])
    hard = rng.random(number) < 0.5
    slopes = np.where(hard, rng.uniform(*HARD, number), rng.uniform(*SOFT, number))
    slopes[-1] = SCARP_SLOPE
    steps = np.diff(edges) * np.concatenate([[FLOOR_SLOPE], slopes, [CAP_SLOPE]])
    return edges, np.concatenate([[0], np.cumsum(steps)])


def _craters(nature: Nature, shape: tuple[int, int], gsd_m: float, rng: np.random.Generator) -> Craters:
    """The craters of a region's surface."""
    extent = (shape[0] * gsd_m, shape[1] * gsd_m)
    smallest = SMALLEST_CRATER_PX * gsd_m
    return draw_craters(MARS, extent, smallest, LARGEST_CRATER_M, nature.age_ga, nature.retention, rng)
