"""Scenes of the lunar twin, written as the archives would deliver them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from orrery.cluster import each
from orrery.files import replacing
from orrery.instruments import nac
from orrery.instruments.photometry import Sun
from orrery.raster import io
from orrery.raster.grid import AffineMap, meridian_convergence_deg
from orrery.raster.scene import write_scene
from orrery.seeds import stream
from orrery.world_params import MoonParams, SiteParams, SunParams
from orrery.worlds.common.maps import coarser, random_map, sampled
from orrery.worlds.moon import models, record
from orrery.worlds.moon.places import DTM_POSTING_PX, Place, all_sites, lay_out
from orrery.worlds.moon.render import radiance
from orrery.worlds.moon.terrain import Ground, Kind, make_ground

# Start of LRO's nominal mission: the twin has no clock, and an item needs a time.
WHEN = datetime(2009, 9, 15, tzinfo=UTC)
# Heights are rounded to binary fractions of a metre, half of which is the largest error: their zero bits pack better
# than LERC of the same error does.
TRUTH_STEP_M = 1 / 32
MODEL_STEP_M = 1 / 8
MEAN_HEIGHT_M = (-3000.0, 1000.0)
ASSETS = {name: f"{name}.tif" for name in ("image_l", "image_r", "sldem", "nac_dtm", "truth")}


@dataclass(frozen=True)
class Shot:
    """One scene to be taken: its name, the sun from true north and the number of the adjacent pair."""

    name: str
    sun: SunParams
    pair: int = 0


@dataclass(frozen=True)
class Site:
    """A place with its truth: heights lie above the sphere; every random stream begins with seed and name."""

    name: str
    kind: Kind
    place: Place
    ground: Ground
    params: MoonParams
    seed: int

    def stream(self, *names: str | int) -> np.random.Generator:
        """A random stream of this world."""
        return stream(self.seed, "moon", *names)


def make(out: Path, params: MoonParams, seed: int) -> list[str]:
    """Write every scene of the twin and return their names, sorted; equal parameters and seed give equal bytes.

    Args:
        out: folder that gets one folder a scene; a scene of the same name is replaced when the new one is whole.
        params: sites and sizes.
        seed: of the world.

    Raises:
        OrreryError: the folder cannot be written.
    """
    sites = all_sites(params, seed)
    grounds = [(name, sites[name], shots) for name, shots in _shots_by_ground(sites).items()]
    taken = each(partial(_take_all, out, params, seed), grounds, "lunar twin", "place")
    return sorted(name for names in taken for name in names)


def _take_all(
    out: Path, params: MoonParams, seed: int, item: tuple[str, SiteParams, Sequence[Shot]]
) -> list[str]:
    """Every scene of one ground, which is made once; their names."""
    name, wanted, shots = item
    site = make_site(name, wanted, params, seed)
    for shot in shots:
        take(out, site, shot)
    return [shot.name for shot in shots]


def make_site(name: str, site: SiteParams, params: MoonParams, seed: int) -> Site:
    """The truth of a site that has its own ground."""
    place = lay_out(params, site, seed, name)
    ground = make_ground(site.kind, place.ground.shape, params.gsd_m, seed, name)
    level_m = np.float32(stream(seed, "moon", name, "level").uniform(*MEAN_HEIGHT_M))
    return Site(
        name, site.kind, place, Ground(ground.height_m + level_m, ground.albedo, ground.gsd_m), params, seed
    )


def take(out: Path, site: Site, shot: Shot) -> None:
    """Render, record and write one scene; its folder appears when it is whole."""
    pair, params = site.place.pairs[shot.pair], site.params
    right, coarse = _misplacements(site, shot)
    with replacing(out / shot.name) as folder:
        _write_images(folder, site, shot, right)
        _write_models(folder, site, shot, coarse)
        properties = {
            "orrery:site": site.name,
            "orrery:kind": site.kind,
            "orrery:twin": True,
            "orrery:truth": {"sldem": coarse.to_dict(), "image_r": right.to_dict()},
        }
        left = pair.window(0, 0, pair.height, params.strip_width_px)
        sun_true_north = (shot.sun.azimuth_deg, shot.sun.elevation_deg)
        write_scene(folder, shot.name, ASSETS, left, sun_true_north, properties, WHEN)


def _shots_by_ground(sites: Mapping[str, SiteParams]) -> dict[str, list[Shot]]:
    """All scenes, those of one ground together, so that it is made once."""
    shots: dict[str, list[Shot]] = {}
    for name, site in sites.items():
        shots.setdefault(site.ground or name, []).extend(_shots(name, site))
    return shots


def _shots(name: str, site: SiteParams) -> Iterator[Shot]:
    """The scenes of a site: one a sun, or one an adjacent pair."""
    if site.adjacent_pairs > 1:
        for pair in range(site.adjacent_pairs):
            yield Shot(f"{name}-p{pair}", site.suns[pair % len(site.suns)], pair)
    elif len(site.suns) > 1:
        for number, sun in enumerate(site.suns):
            yield Shot(f"{name}-s{number}", sun)
    else:
        yield Shot(name, site.suns[0])


def _misplacements(site: Site, shot: Shot) -> tuple[AffineMap, AffineMap]:
    """True maps of the right strip and of the coarse model, from written to true positions."""
    params, rng = site.params, site.stream(shot.name, "pointing")
    shift_m = rng.uniform(0, record.MAX_SHIFT_PX) * params.gsd_m
    pair = site.place.pairs[shot.pair]
    right = random_map(pair, shift_m, record.MAX_ROTATION_DEG, record.MAX_STRETCH, rng)
    sldem = params.sldem
    offset_m = rng.uniform(0, sldem.max_offset_postings) * sldem.posting_m
    coarse = site.place.sldem[shot.pair]
    return right, random_map(coarse, offset_m, sldem.max_rotation_deg, sldem.max_stretch, rng)


def _write_images(folder: Path, site: Site, shot: Shot, right: AffineMap) -> None:
    """The left strip, which is the frame of everything, and the right one where its map has put it."""
    pair, params = site.place.pairs[shot.pair], site.params
    azimuth_deg = shot.sun.azimuth_deg + meridian_convergence_deg(pair)
    sun = Sun(azimuth_deg, shot.sun.elevation_deg)
    seen = radiance(site.ground, sun, params.photometry)
    rng = site.stream(shot.name, "exposure")
    level = record.exposure_dn12(sun, rng)
    shifted = params.strip_width_px - params.overlap_px
    strips = (
        ("image_l", 0, AffineMap.identity(), nac.LEFT, level),
        ("image_r", shifted, right, nac.RIGHT, level * record.brightness_step(rng)),
    )
    for name, column, displacement, camera, flat_dn12 in strips:
        grid = pair.window(0, column, pair.height, params.strip_width_px)
        sharp = sampled(seen, site.place.ground, grid, displacement)
        strip = record.record_strip(sharp, camera, flat_dn12, site.stream(shot.name, name))
        io.write(folder / ASSETS[name], {"dn8": strip}, grid, units={"dn8": "companded DN"}, dtype="uint8")


def _write_models(folder: Path, site: Site, shot: Shot, displacement: AffineMap) -> None:
    """The coarse model, misplaced; the stereo model and the truth, which all scenes of a pair share byte for byte."""
    place, params, height_m = site.place, site.params, site.ground.height_m
    pair, coarse = place.pairs[shot.pair], place.sldem[shot.pair]
    noise = site.stream(shot.name, "sldem")
    sldem = models.record_sldem(height_m, place.ground, coarse, displacement, params.sldem, noise)
    row, column = (round(float(v)) for v in place.ground.rowcol(*pair.xy(0, 0)))
    truth = height_m[row : row + pair.height, column : column + pair.width]
    dtm = models.record_dtm(truth, params.gsd_m, site.stream(site.name, "dtm", shot.pair))
    for name, values, grid, step_m in (
        ("sldem", sldem, coarse, MODEL_STEP_M),
        ("nac_dtm", dtm, coarser(pair, DTM_POSTING_PX), MODEL_STEP_M),
        ("truth", truth, pair, TRUTH_STEP_M),
    ):
        rounded = np.rint(values / np.float32(step_m)) * np.float32(step_m)
        io.write(folder / ASSETS[name], {"elevation_m": rounded}, grid, units={"elevation_m": "m"})
