"""Stereo pairs of the lunar twin, written as the archive of Kaguya would deliver uncompressed ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from orrery.cluster import each
from orrery.files import replacing
from orrery.instruments import terrain_camera
from orrery.instruments.photometry import Sun
from orrery.raster import io
from orrery.raster.grid import RADIUS_M, Grid, meridian_convergence_deg
from orrery.raster.projections import equirectangular
from orrery.raster.scene import write_scene
from orrery.raster.terrain_camera_product import CORNERS, write_product
from orrery.seeds import stream
from orrery.world_params import KaguyaParams, StereoSceneParams, SunParams
from orrery.worlds.moon.places import HIGHEST_LATITUDE_DEG
from orrery.worlds.moon.push_broom import OVERSAMPLING, StereoView, stereo_view
from orrery.worlds.moon.terrain import Kind, make_ground

Array = NDArray[np.float32]

# Kaguya's nominal mission: the twin has no clock, and an item and a label need a time.
WHEN = datetime(2008, 6, 1, tzinfo=UTC)
MARGIN_PX = 48  # rows of ground beyond the images, which parallax brings into them: 900 m of relief
TRUTH_STEP_PX = 1 / 64  # true disparities are rounded to within .008 px: their zero bits pack well
SUN_ELEVATION_DEG = (42.0, 60.0)  # stereo was taken at high solar elevations
DRAWN_KINDS: tuple[Kind, ...] = ("flat", "highland")
CAMERAS = {"tc1": "TC1", "tc2": "TC2"}
ASSETS = {"tc1": "tc1.lbl", "tc2": "tc2.lbl", "disparity": "disparity.tif"}


def make(out: Path, params: KaguyaParams, seed: int) -> list[str]:
    """Write every pair and return their names, sorted; equal parameters and seed give equal bytes.

    Args:
        out: folder that gets one folder a scene; a scene of the same name is replaced when the new one is whole.
        params: scenes and sizes.
        seed: of the world.

    Raises:
        OrreryError: the folder cannot be written.
    """
    scenes = {**params.scenes, **dict(drawn_scene(number, seed) for number in range(params.drawn_scenes))}
    each(partial(_take_item, out, params, seed), list(scenes.items()), "stereo twin")
    return sorted(scenes)


def _take_item(out: Path, params: KaguyaParams, seed: int, item: tuple[str, StereoSceneParams]) -> None:
    take(out, *item, params, seed)


def drawn_scene(number: int, seed: int) -> tuple[str, StereoSceneParams]:
    """Name and parameters of a drawn scene: of ten of a kind eight are for training, one for validation, one for testing."""
    rng = stream(seed, "kaguya", "drawn", number)
    kind = DRAWN_KINDS[number % len(DRAWN_KINDS)]
    use = {8: "val", 9: "test"}.get(number // len(DRAWN_KINDS) % 10, "train")
    sun = SunParams(
        azimuth_deg=round(float(rng.uniform(60, 120) + rng.choice([0, 180])), 1),
        elevation_deg=round(float(rng.uniform(*SUN_ELEVATION_DEG)), 1),
    )
    mean = round(float(np.exp(rng.uniform(np.log(150), np.log(400)))), 1)
    return f"{use}-{kind}-drawn-{number:04d}", StereoSceneParams(kind=kind, sun=sun, mean_count=mean)


def take(out: Path, name: str, scene: StereoSceneParams, params: KaguyaParams, seed: int) -> None:
    """Render, record and write one pair; its folder appears when it is whole."""
    grid = lay_out(params, seed, name)
    view = seen(scene, grid, seed, name)
    with replacing(out / name) as folder:
        folder.mkdir()
        for asset, image in (("tc1", view.left), ("tc2", view.right)):
            counts = exposed(image / view.left.mean() * scene.mean_count, stream(seed, "kaguya", name, asset))
            keys = _keys(CAMERAS[asset], name, scene, grid)
            write_product(folder / ASSETS[asset], counts, keys, {"COMPRESSION_TYPE": "N/A"})
        rounded = np.rint(view.disparity_px / np.float32(TRUTH_STEP_PX)) * np.float32(TRUTH_STEP_PX)
        io.write(folder / ASSETS["disparity"], {"disparity_px": rounded}, grid, units={"disparity_px": "px"})
        properties = {
            "orrery:site": name,
            "orrery:kind": scene.kind,
            "orrery:twin": True,
            "orrery:mean_count": scene.mean_count,
        }
        sun = (scene.sun.azimuth_deg, scene.sun.elevation_deg)
        write_scene(folder, name, ASSETS, grid, sun, properties, WHEN)


def lay_out(params: KaguyaParams, seed: int, name: str) -> Grid:
    """Where the left image lies: somewhere between 55 degrees south and north, rows running south with the flight."""
    rng = stream(seed, "kaguya", name, "place")
    latitude, longitude = (
        round(rng.uniform(-1, 1) * HIGHEST_LATITUDE_DEG, 1),
        round(rng.uniform(-180, 180), 1),
    )
    per_degree = math.radians(RADIUS_M["moon"])
    left, top = longitude * per_degree * math.cos(math.radians(latitude)), latitude * per_degree
    transform = Affine(params.gsd_m, 0, round(left), 0, -params.gsd_m, round(top))
    return Grid(equirectangular("moon", latitude), transform, params.height_px, params.width_px)


def seen(scene: StereoSceneParams, grid: Grid, seed: int, name: str) -> StereoView:
    """Both images, noise-free, and the true disparity, on the left image's pixels."""
    rows, columns = grid.height + 2 * MARGIN_PX, grid.width
    shape = rows * OVERSAMPLING, columns * OVERSAMPLING
    ground = make_ground(scene.kind, shape, grid.gsd_m / OVERSAMPLING, seed, f"kaguya-{name}")
    sun = Sun(scene.sun.azimuth_deg + meridian_convergence_deg(grid), scene.sun.elevation_deg)
    whole = stereo_view(
        ground,
        sun,
        terrain_camera.SLANT_DEG,
        terrain_camera.PSF_SIGMA_PX,
        stream(seed, "kaguya", name, "orbit"),
    )
    kept = slice(MARGIN_PX, -MARGIN_PX)
    return StereoView(whole.left[kept], whole.right[kept], whole.disparity_px[kept])


def exposed(counts: Array, rng: np.random.Generator) -> Array:
    """What the camera reads of noise-free counts: shot noise, noise of reading, whole counts of 10 bits."""
    variance = (
        np.maximum(counts, 0) / terrain_camera.ELECTRONS_PER_COUNT + terrain_camera.READ_NOISE_COUNTS**2
    )
    noisy = counts + np.sqrt(variance) * rng.standard_normal(counts.shape, np.float32)
    return np.asarray(np.clip(np.rint(noisy), 0, terrain_camera.MAX_COUNT), np.float32)


def _keys(camera: str, name: str, scene: StereoSceneParams, grid: Grid) -> Mapping[str, Any]:
    """The label's keys, those of Level 2B0 that somebody reads."""
    ring = grid.footprint()["coordinates"][0][:4]  # from the upper left on, counter-clockwise
    places = dict(zip(("UPPER_LEFT", "LOWER_LEFT", "LOWER_RIGHT", "UPPER_RIGHT"), ring, strict=True))
    corners: dict[str, Any] = {}
    for corner in CORNERS:
        corners[f"{corner}_LATITUDE"] = (places[corner][1], "deg")
        corners[f"{corner}_LONGITUDE"] = (places[corner][0], "deg")
    return {
        "MISSION_NAME": "SELENE",
        "PRODUCT_ID": f'"{camera}-TWIN-{name}"',
        "INSTRUMENT_ID": camera,
        "TARGET_NAME": "MOON",
        "START_TIME": WHEN.strftime("%Y-%m-%dT%H:%M:%S"),
        "EXPOSURE_MODE_ID": "MIDDLE",
        **corners,
        "INCIDENCE_ANGLE": (90 - scene.sun.elevation_deg, "deg"),
        "SOLAR_AZIMUTH_ANGLE": (scene.sun.azimuth_deg, "deg"),
        "SWATH_MODE_ID": "FULL",
        "Q_TABLE_ID": "N/A",
        "HUFFMAN_TABLE_ID": "N/A",
    }
