"""Pairs of the Martian twin, written as the archives and the map projection would deliver them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.cluster import each
from orrery.files import replacing
from orrery.instruments import crism
from orrery.instruments.photometry import Sun
from orrery.raster import io
from orrery.raster.scene import write_scene
from orrery.raster.windows import block_means
from orrery.seeds import stream
from orrery.world_params import MarsParams, MarsSceneParams
from orrery.worlds.mars.composition import Composition, changed_dust, compose, dust_cover, dusted
from orrery.worlds.mars.light import light_on
from orrery.worlds.mars.places import DEM_FACTOR, MARGIN_PX, Place, all_scenes, lay_out
from orrery.worlds.mars.pointing import misplace, true_positions
from orrery.worlds.mars.record import Seen, record_ctx, record_cube
from orrery.worlds.mars.regions import REGIONS
from orrery.worlds.mars.terrain import Ground, make_ground

Array = NDArray[np.float32]

# Start of the primary science phase: the twin has no clock, and an item needs a time.
WHEN = datetime(2006, 11, 8, tzinfo=UTC)
ASSETS = {name: f"{name}.tif" for name in ("ctx", "crism", "dem")}
# The orbit is sun-synchronous near three in the afternoon: the sun stands in the west.
SUN_AZIMUTH_DEG, SUN_INCIDENCE_DEG = (245.0, 300.0), (48.0, 64.0)
# How the sun moves with the seasons: degrees of incidence and azimuth a day, and at most.
SEASON_DEG_PER_DAY, SEASON_MOST_DEG = (0.08, 0.15), 10.0
# Values are rounded to these steps, I/F and m: half of the noise of the quietest pixels, so that the files pack well.
CTX_STEP, CUBE_STEP, DEM_STEP_M = 2.0**-11, 2.0**-11, 0.5
# A stereo model's error (HRSC, 10 m vertical) is correlated over two postings.
DEM_NOISE_M, DEM_BLUR_PX = 5.0, 1.0


@dataclass(frozen=True)
class Pair:
    """One pair with its truth; every random stream begins with seed and name."""

    name: str
    scene: MarsSceneParams
    place: Place
    ground: Ground
    composition: Composition
    dust: Array
    params: MarsParams
    seed: int

    def stream(self, *names: str) -> np.random.Generator:
        """A random stream of this pair."""
        return stream(self.seed, "mars", self.name, *names)

    def seen(self, sun: Sun, dust: Array) -> Seen:
        """The ground under a sun and a cover of dust."""
        light = light_on(self.ground.height_m, self.ground.gsd_m, sun)
        return Seen(self.composition.names, dusted(self.composition, dust), light)


def make(out: Path, params: MarsParams, seed: int) -> list[str]:
    """Write every scene of the twin and return their names, sorted; equal parameters and seed give equal bytes.

    Args:
        out: folder that gets one folder a scene; a scene of the same name is replaced when the new one is whole.
        params: scenes and sizes.
        seed: of the world.

    Raises:
        OrreryError: the folder cannot be written, CRISM has no band at a wavelength, or a region has no room.
    """
    scenes = all_scenes(params, seed)
    places = lay_out(params, scenes, seed)
    items = [(name, scene, places[name]) for name, scene in scenes.items()]
    each(partial(_take_item, out, _wavelengths(params), params, seed), items, "Martian twin")
    return sorted(scenes)


def _take_item(
    out: Path,
    wavelengths_nm: NDArray[np.float64],
    params: MarsParams,
    seed: int,
    item: tuple[str, MarsSceneParams, Place],
) -> None:
    take(out, make_pair(*item, params, seed), wavelengths_nm)


def make_pair(name: str, scene: MarsSceneParams, place: Place, params: MarsParams, seed: int) -> Pair:
    """The truth of a scene: terrain, minerals and dust."""
    nature = REGIONS[scene.region]
    ground = make_ground(scene.region, place.ground.shape, params.gsd_m, seed, name)
    composition = compose(ground, nature, seed, name)
    dust = dust_cover(ground, nature, seed, name)
    return Pair(name, scene, place, ground, composition, dust, params, seed)


def take(out: Path, pair: Pair, wavelengths_nm: NDArray[np.float64]) -> None:
    """Record and write one scene; its folder appears when it is whole."""
    suns = _suns(pair)
    with replacing(out / pair.name) as folder:
        _write_image(folder, pair, suns[0])
        truth = _write_cube(folder, pair, suns[1], wavelengths_nm)
        _write_dem(folder, pair)
        properties = {
            "orrery:site": pair.scene.region,
            "orrery:kind": pair.scene.region,
            "orrery:twin": True,
            "orrery:time_difference_days": pair.scene.time_difference_days,
            "orrery:cube_sun": [suns[1].azimuth_deg, suns[1].elevation_deg],
            "orrery:truth": {"crism": truth},
        }
        sun = (suns[0].azimuth_deg, suns[0].elevation_deg)
        write_scene(folder, pair.name, ASSETS, pair.place.image, sun, properties, WHEN, "mars")


def _wavelengths(params: MarsParams) -> NDArray[np.float64]:
    """Centres of the bands to record, ascending."""
    grid = crism.wavelengths_nm()
    return grid if params.wavelengths_nm == "all" else grid[crism.nearest_bands(params.wavelengths_nm)]


def _suns(pair: Pair) -> tuple[Sun, Sun]:
    """The sun over the image and over the cube, from true north, which is up in an equirectangular map."""
    rng = pair.stream("sun")
    azimuth, incidence = rng.uniform(*SUN_AZIMUTH_DEG), rng.uniform(*SUN_INCIDENCE_DEG)
    turn = rng.uniform(*SEASON_DEG_PER_DAY, 2) * rng.choice([-1, 1], 2) * pair.scene.time_difference_days
    turn = np.clip(turn, -SEASON_MOST_DEG, SEASON_MOST_DEG)
    return (
        Sun(round(azimuth, 2), round(90 - incidence, 2)),
        Sun(round(azimuth + turn[0], 2), round(90 - incidence - turn[1], 2)),
    )


def _write_image(folder: Path, pair: Pair, sun: Sun) -> None:
    """The CTX image, which is the frame of everything."""
    whole = record_ctx(pair.seen(sun, pair.dust), sun, pair.stream("ctx"))
    image = whole[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    io.write(folder / ASSETS["ctx"], {"i_over_f": _rounded(image, CTX_STEP)}, pair.place.image)


def _write_cube(
    folder: Path, pair: Pair, sun: Sun, wavelengths_nm: NDArray[np.float64]
) -> dict[str, dict[str, object]]:
    """The CRISM cube where its pointing has put it; returns the maps back to the truth."""
    written, affine, field = misplace(pair.place, pair.params, pair.stream("pointing"))
    dust = changed_dust(pair.dust, pair.ground.gsd_m, pair.scene.time_difference_days, pair.stream("weather"))
    pixels = pair.place.ground.rowcol(*true_positions(written, pair.place.image, affine, field))
    cube = record_cube(pair.seen(sun, dust), pair.ground.gsd_m, pixels, wavelengths_nm, pair.stream("crism"))
    bands = {f"{w:.2f} nm": _rounded(band, CUBE_STEP) for w, band in zip(wavelengths_nm, cube, strict=True)}
    io.write(folder / ASSETS["crism"], bands, written)
    return {"affine": affine.to_dict(), "field": field.to_dict()}


def _write_dem(folder: Path, pair: Pair) -> None:
    """A coarse elevation model of the image's ground."""
    m, rng = MARGIN_PX, pair.stream("dem")
    fine = pair.ground.height_m[m:-m, m:-m]
    rows, columns = (length // DEM_FACTOR * DEM_FACTOR for length in fine.shape)
    coarse = ndimage.gaussian_filter(block_means(fine[:rows, :columns], DEM_FACTOR), DEM_BLUR_PX)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse.shape, np.float32), DEM_BLUR_PX)
    heights = coarse + DEM_NOISE_M * noise / noise.std()
    io.write(
        folder / ASSETS["dem"],
        {"elevation_m": _rounded(heights, DEM_STEP_M)},
        pair.place.dem,
        units={"elevation_m": "m"},
    )


def _rounded(values: Array, step: float) -> Array:
    """Values to whole steps: their zero bits pack well."""
    return np.asarray(np.rint(values / np.float32(step)) * np.float32(step), np.float32)
