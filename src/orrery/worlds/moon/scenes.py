"""Scenes of the lunar twin, written as the archives would deliver them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from orrery.files import replacing
from orrery.instruments import nac
from orrery.instruments.photometry import Sun
from orrery.params import IngestParams, SiteParams, SunParams
from orrery.raster import io
from orrery.raster.grid import AffineMap, meridian_convergence_deg
from orrery.raster.scene import write_scene
from orrery.seeds import stream
from orrery.worlds.moon import models, record
from orrery.worlds.moon.places import DTM_POSTING_PX, Place, all_sites, coarser, lay_out
from orrery.worlds.moon.render import radiance
from orrery.worlds.moon.terrain import Ground, make_ground

# Start of LRO's nominal mission: the twin has no clock, and an item needs a time.
WHEN = datetime(2009, 9, 15, tzinfo=UTC)
# Heights are rounded to binary fractions of a metre, half of which is the largest error: their zero bits pack better
# than LERC of the same error does.
TRUTH_STEP_M = 1 / 32
MODEL_STEP_M = 1 / 16
MEAN_HEIGHT_M = (-3000.0, 1000.0)
ASSETS = {name: f"{name}.tif" for name in ("image_l", "image_r", "sldem", "nac_dtm", "truth")}


@dataclass(frozen=True)
class Shot:
    """One scene to be taken: its name, its site and ground, the sun from true north and the pair's number."""

    name: str
    site: str
    ground: str
    kind: str
    sun: SunParams
    pair: int


def make(out: Path, params: IngestParams, seed: int) -> list[str]:
    """Write every scene of the twin and return their names; equal parameters and seed give equal bytes.

    Args:
        out: folder that gets one folder a scene; a scene of the same name is replaced.
        params: sites and sizes.
        seed: of the world.

    Raises:
        OrreryError: the folder cannot be written.
    """
    sites = all_sites(params, seed)
    by_ground: dict[str, list[str]] = {}
    for name, site in sites.items():
        by_ground.setdefault(site.ground or name, []).append(name)
    shots = {
        ground: [shot for name in names for shot in _shots(name, sites[name])]
        for ground, names in by_ground.items()
    }
    names = []
    with tqdm(total=sum(len(group) for group in shots.values()), desc="lunar twin", unit="scene") as bar:
        for ground_name, group in shots.items():
            site = sites[by_ground[ground_name][0]]
            place = lay_out(params, site, seed, ground_name)
            ground = make_ground(site.kind, place.ground.shape, params.gsd_m, seed, ground_name)
            for shot in group:
                take(out, shot, ground, place, params, seed)
                names.append(shot.name)
                bar.update()
    return sorted(names)


def _shots(name: str, site: SiteParams) -> Iterator[Shot]:
    """The scenes of a site: one a sun, or one an adjacent pair."""
    ground = site.ground or name
    if site.adjacent_pairs > 1:
        for pair in range(site.adjacent_pairs):
            yield Shot(f"{name}-p{pair}", name, ground, site.kind, site.suns[pair % len(site.suns)], pair)
    else:
        for number, sun in enumerate(site.suns):
            yield Shot(f"{name}-s{number}" if len(site.suns) > 1 else name, name, ground, site.kind, sun, 0)


def take(out: Path, shot: Shot, ground: Ground, place: Place, params: IngestParams, seed: int) -> None:
    """Render, record and write one scene; its folder appears when it is whole."""
    pair, coarse = place.pairs[shot.pair], place.sldem[shot.pair]
    convergence_deg = meridian_convergence_deg(pair)
    sun = Sun(shot.sun.azimuth_deg + convergence_deg, shot.sun.elevation_deg)
    offset_m = params.sldem.max_offset_postings * params.sldem.posting_m
    rng = stream(seed, "moon", shot.name, "pointing")
    right = record.random_map(
        pair,
        rng.uniform(0, record.MAX_SHIFT_PX) * params.gsd_m,
        record.MAX_ROTATION_DEG,
        record.MAX_STRETCH,
        rng,
    )
    displacement = record.random_map(
        coarse, rng.uniform(0, offset_m), params.sldem.max_rotation_deg, params.sldem.max_stretch, rng
    )
    level_m = stream(seed, "moon", shot.ground, "level").uniform(*MEAN_HEIGHT_M)
    with replacing(out / shot.name) as folder:
        _write_images(folder, shot, radiance(ground, sun, params.photometry), place, right, sun, params, seed)
        _write_models(folder, shot, ground.height_m + np.float32(level_m), place, displacement, params, seed)
        properties = {
            "orrery:site": shot.site,
            "orrery:kind": shot.kind,
            "orrery:twin": True,
            "orrery:truth": {"sldem": displacement.to_dict(), "image_r": right.to_dict()},
        }
        left = pair.window(0, 0, pair.height, params.strip_width_px)
        sun_true_north = (shot.sun.azimuth_deg, shot.sun.elevation_deg)
        write_scene(folder, shot.name, ASSETS, left, sun_true_north, properties, WHEN)


def _write_images(
    folder: Path,
    shot: Shot,
    seen: record.Array,
    place: Place,
    right: AffineMap,
    sun: Sun,
    params: IngestParams,
    seed: int,
) -> None:
    """The left strip, which is the frame of everything, and the right one where its map has put it."""
    pair, width = place.pairs[shot.pair], params.strip_width_px
    rng = stream(seed, "moon", shot.name, "exposure")
    level = record.exposure_dn12(sun, rng)
    strips = (
        ("image_l", 0, AffineMap.identity(), nac.LEFT, level),
        ("image_r", width - params.overlap_px, right, nac.RIGHT, level * record.brightness_step(rng)),
    )
    for name, column, displacement, camera, flat_dn12 in strips:
        grid = pair.window(0, column, pair.height, width)
        sharp = record.sampled(seen, place.ground, grid, displacement)
        strip = record.record_strip(sharp, camera, flat_dn12, stream(seed, "moon", shot.name, name))
        io.write(folder / ASSETS[name], {"dn8": strip}, grid, units={"dn8": "companded DN"}, dtype="uint8")


def _write_models(
    folder: Path,
    shot: Shot,
    height_m: record.Array,
    place: Place,
    displacement: AffineMap,
    params: IngestParams,
    seed: int,
) -> None:
    """The coarse model, misplaced; the stereo model and the truth, which all scenes of a ground share byte for byte."""
    pair, coarse = place.pairs[shot.pair], place.sldem[shot.pair]
    sldem = models.record_sldem(
        height_m, place.ground, coarse, displacement, params.sldem, stream(seed, "moon", shot.name, "sldem")
    )
    row, column = (round(float(v)) for v in place.ground.rowcol(*pair.xy(0, 0)))
    truth = height_m[row : row + pair.height, column : column + pair.width]
    dtm = models.record_dtm(truth, params.gsd_m, stream(seed, "moon", shot.ground, "dtm", shot.pair))
    for name, values, grid, step_m in (
        ("sldem", sldem, coarse, MODEL_STEP_M),
        ("nac_dtm", dtm, coarser(pair, DTM_POSTING_PX), MODEL_STEP_M),
        ("truth", truth, pair, TRUTH_STEP_M),
    ):
        rounded = np.rint(values / np.float32(step_m)) * np.float32(step_m)
        io.write(folder / ASSETS[name], {"elevation_m": rounded}, grid, units={"elevation_m": "m"})

