"""Where the pairs of the Martian twin lie, and the grids of what is recorded there."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from affine import Affine

from orrery.errors import OrreryError
from orrery.instruments import crism
from orrery.raster.grid import RADIUS_M, Grid
from orrery.raster.projections import equirectangular
from orrery.seeds import stream
from orrery.world_params import MarsParams, MarsSceneParams, Region
from orrery.worlds.common.maps import coarser
from orrery.worlds.mars.regions import REGIONS

# Ground around the image that blurs into it or shades it.
MARGIN_PX = 24
# Between the grounds of neighbouring places.
GAP_M = 500.0
# How far the cube's footprint stays within the image, displaced as it is written, beyond shift and warp.
SLACK_M = 30.0
# MTRDRs are projected true to scale at the next multiple of five degrees towards the equator (FRT0000932C at 33 S: 30 S).
LATITUDE_STEP_DEG = 5
DEM_FACTOR = 8


@dataclass(frozen=True)
class Place:
    """Grids of one pair.

    Attributes:
        ground: all ground that anything recorded here may show.
        image: of the CTX image, the frame of everything.
        dem: of the coarse elevation model.
        cube_side_m: side of the square that holds the cube's footprint.
        latitude_deg: at which the image's projection is true to scale.
    """

    ground: Grid
    image: Grid
    dem: Grid
    cube_side_m: float
    latitude_deg: int


def all_scenes(params: MarsParams, seed: int) -> dict[str, MarsSceneParams]:
    """The scenes that are listed, then those drawn from the seed."""
    drawn = dict(drawn_scene(number, seed) for number in range(params.drawn_scenes))
    return {**params.scenes, **drawn}


def drawn_scene(number: int, seed: int) -> tuple[str, MarsSceneParams]:
    """Name and parameters of a drawn scene.

    Regions take turns; of ten of a region eight are for training, one for validation, one for testing. As in the paper's
    tables, two pairs in three were taken together, the others weeks or months apart.
    """
    rng = stream(seed, "mars", "drawn", number)
    regions = sorted(REGIONS)
    region = regions[number % len(regions)]
    use = {8: "val", 9: "test"}.get(number // len(regions) % 10, "train")
    days = 0.0 if rng.random() < 0.67 else float(round(rng.exponential(80)))
    scene = MarsSceneParams(region=region, time_difference_days=days)
    return f"{use}-{region}-drawn-{number:04d}", scene


def lay_out(params: MarsParams, scenes: dict[str, MarsSceneParams], seed: int) -> dict[str, Place]:
    """A place of its own for every scene, within the box of its region.

    Each region's box is cut into cells as large as a ground; a scene gets the next cell of a shuffled order, so one added
    at the end moves no other.

    Raises:
        OrreryError: the image is too small for a cube, or a region has no room for so many scenes.
    """
    taken: Counter[Region] = Counter()
    places = {}
    for name, scene in scenes.items():
        places[name] = _place(params, scene.region, taken[scene.region], seed)
        taken[scene.region] += 1
    return places


def _place(params: MarsParams, region: Region, number: int, seed: int) -> Place:
    """The place of the `number`-th scene of a region."""
    nature, gsd = REGIONS[region], params.gsd_m
    latitude = round((nature.south_deg + nature.north_deg) / 2)
    metres_per_degree = math.radians(RADIUS_M["mars"])
    stretch = math.cos(math.radians(latitude))
    side_m = (max(params.height_px, params.width_px) + 2 * MARGIN_PX) * gsd + GAP_M
    rows = int((nature.north_deg - nature.south_deg) * metres_per_degree // side_m)
    columns = int((nature.east_deg - nature.west_deg) * metres_per_degree * stretch // side_m)
    if number >= rows * columns:
        raise OrreryError(
            f"{region} has room for {rows * columns} scenes of this size, not for more",
            remedy="lower ingest.mars.drawn_scenes, or height_px and width_px",
        )
    cell = int(stream(seed, "mars", region, "places").permutation(rows * columns)[number])
    left = nature.west_deg * metres_per_degree * stretch + (cell % columns + 0.5) * side_m
    top = nature.north_deg * metres_per_degree - (cell // columns + 0.5) * side_m
    left -= params.width_px * gsd / 2
    top += params.height_px * gsd / 2
    transform = Affine(gsd, 0, round(left / gsd) * gsd, 0, -gsd, round(top / gsd) * gsd)
    image = Grid(equirectangular("mars", latitude), transform, params.height_px, params.width_px)
    m = MARGIN_PX
    ground = image.window(-m, -m, params.height_px + 2 * m, params.width_px + 2 * m)
    return Place(ground, image, coarser(image, DEM_FACTOR), _cube_side_m(params), latitude)


def _cube_side_m(params: MarsParams) -> float:
    """Side of the square in which the footprint stays inside the image, as written and in truth."""
    side_m = min(params.height_px, params.width_px) * params.gsd_m
    cube_m = side_m - 2 * (params.max_offset_m + params.warp_m + SLACK_M)
    if cube_m < 8 * crism.GSD_M:
        raise OrreryError(
            f"an image of {side_m:.0f} m leaves no room for a cube that is {params.max_offset_m:g} m off",
            remedy="raise ingest.mars.height_px and width_px",
        )
    return cube_m


def cube_grid(place: Place, centre_m: tuple[float, float]) -> Grid:
    """The grid of a cube as written, in a projection of its own.

    Args:
        place: of the pair.
        centre_m: its middle, in the image's projection.
    """
    own = int(place.latitude_deg / LATITUDE_STEP_DEG) * LATITUDE_STEP_DEG
    # Both projections are equirectangular on one sphere: only the scale along parallels differs.
    stretch = math.cos(math.radians(own)) / math.cos(math.radians(place.latitude_deg))
    step = crism.GSD_M
    height, width = (math.ceil(side / step) for side in (place.cube_side_m, place.cube_side_m * stretch))
    left = round((centre_m[0] * stretch - width * step / 2) / step) * step
    top = round((centre_m[1] + height * step / 2) / step) * step
    return Grid(equirectangular("mars", own), Affine(step, 0, left, 0, -step, top), height, width)
