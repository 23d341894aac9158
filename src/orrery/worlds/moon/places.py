"""Which sites there are, where they lie on the Moon, and the grids of all that is recorded there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from affine import Affine

from orrery.raster.grid import RADIUS_M, Grid
from orrery.raster.projections import equirectangular
from orrery.seeds import stream
from orrery.world_params import MoonParams, SiteParams, SunParams
from orrery.worlds.common.maps import around
from orrery.worlds.moon.terrain import KINDS

# Beyond the margin: blur and interpolation of the coarse model at its edge, and its rotation and stretch.
SLACK_M = 150.0
# SLDEM2015 ends at 60 degrees.
HIGHEST_LATITUDE_DEG = 55.0
DTM_POSTING_PX = 3


@dataclass(frozen=True)
class Place:
    """Grids of one site.

    Attributes:
        ground: all ground that anything recorded here may show.
        pairs: mosaics of left and right strip, one an adjacent pair.
        sldem: of each pair's coarse model, as written.
    """

    ground: Grid
    pairs: tuple[Grid, ...]
    sldem: tuple[Grid, ...]


def all_sites(params: MoonParams, seed: int) -> dict[str, SiteParams]:
    """The sites that are listed, then those drawn from the seed."""
    drawn = dict(drawn_site(number, seed) for number in range(params.drawn_sites))
    return {**params.sites, **drawn}


def drawn_site(number: int, seed: int) -> tuple[str, SiteParams]:
    """Name and parameters of a drawn site.

    Kinds take turns; of ten of a kind eight are for training, one for validation, one for testing. Two suns each, their
    incidences in the lower and upper half of 40 to 84 degrees, their azimuths 60 to 180 degrees apart.
    """
    rng = stream(seed, "moon", "drawn", number)
    kind = KINDS[number % len(KINDS)]
    turn = number // len(KINDS) % 10
    use = {8: "val", 9: "test"}.get(turn, "train")
    azimuth = rng.uniform(0, 360)
    other = (azimuth + rng.uniform(60, 180) * rng.choice([-1, 1])) % 360
    incidence = sorted([rng.uniform(40, 62), rng.uniform(62, 84)], key=lambda _: rng.random())
    suns = [
        SunParams(azimuth_deg=round(float(a), 1), elevation_deg=round(90 - float(i), 1))
        for a, i in zip((azimuth, other), incidence, strict=True)
    ]
    return f"{use}-{kind}-drawn-{number:04d}", SiteParams(kind=kind, suns=suns)


def lay_out(params: MoonParams, site: SiteParams, seed: int, ground: str) -> Place:
    """Grids of a site, somewhere on the Moon between 55 degrees south and north.

    Args:
        params: sizes.
        site: number of pairs.
        seed: of the world.
        ground: name of the ground, which decides where it lies.
    """
    rng = stream(seed, "moon", ground, "place")
    latitude, longitude = (
        round(rng.uniform(-1, 1) * HIGHEST_LATITUDE_DEG, 1),
        round(rng.uniform(-180, 180), 1),
    )
    metres_per_degree = math.radians(RADIUS_M["moon"])
    step = params.sldem.posting_m
    left = round(longitude * math.cos(math.radians(latitude)) * metres_per_degree / step) * step
    top = round(latitude * metres_per_degree / step) * step
    gsd, width = params.gsd_m, 2 * params.strip_width_px - params.overlap_px
    first = Grid(
        equirectangular("moon", latitude), Affine(gsd, 0, left, 0, -gsd, top), params.height_px, width
    )
    apart = width - params.pair_overlap_px
    pairs = tuple(first.window(0, number * apart, *first.shape) for number in range(site.adjacent_pairs))
    reach_m = params.sldem.margin_m + params.sldem.max_offset_postings * step + SLACK_M
    margin = math.ceil(reach_m / gsd)
    total = width + (site.adjacent_pairs - 1) * apart
    area = first.window(-margin, -margin, first.height + 2 * margin, total + 2 * margin)
    return Place(area, pairs, tuple(around(pair, params.sldem.margin_m, step) for pair in pairs))
