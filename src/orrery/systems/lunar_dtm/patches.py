"""Patches in shards: one safetensors file a scene and draw, with an index that leads each patch back to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orrery.cluster import each
from orrery.errors import OrreryError
from orrery.files import replacing, write_json, write_tensors
from orrery.raster.grid import AffineMap
from orrery.raster.io import Raster, upsample
from orrery.raster.tiles import corners
from orrery.seeds import stream
from orrery.systems.lunar_dtm.aligned import AlignedScene, load_aligned
from orrery.systems.lunar_dtm.features import Planes, exposure_field, make_planes
from orrery.systems.lunar_dtm.params import LunarParams, PatchParams
from orrery.systems.lunar_dtm.photoclinometry import Spectra, fit_spectra
from orrery.systems.split import refuse_shared_ground, split_of

Array = NDArray[np.float32]
MOST_PLACES = 24  # that the three parameters of the prior are fitted to, spread over all of them: more change nothing but the time


def make_patches(aligned: Path, out: Path, params: LunarParams, seed: int) -> None:
    """Cut the aligned training and validation scenes into patches; write `spectra.json`, `split.json` and shards.

    Every training scene is drawn `misalignments` times: once in its true place, then with its coarse DEM moved by a
    random vector of up to `misalignment_m` (the error that the gate lets pass), so that a model learns to live with it.
    Validation scenes are as the pipeline aligned them, so that the 1-sigma calibrated on them includes that error.
    """
    scenes = [load_aligned(folder) for folder in sorted(aligned.iterdir()) if folder.is_dir()]
    sets = {scene.id: split_of(scene.id, params.split) for scene in scenes}
    refuse_shared_ground(scenes, sets)
    training = [scene for scene in scenes if sets[scene.id] == "train"]
    if not training:
        raise OrreryError(
            "holds no training scene", file=aligned, remedy="check systems.lunar-dtm.split.train"
        )
    places = list({scene.site: scene for scene in training}.values())  # one image each is enough
    spectra = scene_spectra(places[:: -(-len(places) // MOST_PLACES)])
    with replacing(out) as temporary:
        cut = partial(_cut_scene, out=temporary, params=params.patch, spectra=spectra, seed=seed)
        wanted = [
            (aligned / scene.id, sets[scene.id])
            for scene in scenes
            if sets[scene.id] in ("train", "validation")
        ]
        rows = [row for found in each(cut, wanted, "patch") for row in found]
        write_json(temporary / "spectra.json", spectra.to_dict())
        write_json(temporary / "split.json", sets)
        pd.DataFrame(rows).to_parquet(temporary / "index.parquet", index=False)


def scene_spectra(scenes: Sequence[AlignedScene]) -> Spectra:
    """Prior and noise of photoclinometry from training scenes, at true alignment where it is known."""
    residuals, brightness, suns, posting = [], [], [], 1.0
    flat = Spectra(
        0.0, 3.0, 0.0, 1.0, 0.0, 2.0
    )  # no prior relief: the planes below are only read for their shading
    for scene in scenes:
        planes = scene_planes(scene, scene.coarse_true or scene.coarse, flat)
        residuals.append(scene.truth_px() - planes.coarse)
        brightness.append(planes.brightness - planes.rendered)
        suns.append(scene.sun)
        posting = scene.posting_px
    return fit_spectra(residuals, brightness, suns, posting)


def scene_planes(scene: AlignedScene, coarse: Raster, spectra: Spectra) -> Planes:
    """The physical planes of a whole aligned scene with a given coarse DEM."""
    coarse_m = upsample(coarse, scene.image.grid)
    rendered = make_planes(
        scene.image.values, 1.0, coarse_m, scene.gsd_m, scene.sun, spectra, scene.posting_px
    ).rendered
    exposure = exposure_field(scene.image.values, rendered, scene.gsd_m)
    return make_planes(
        scene.image.values, exposure, coarse_m, scene.gsd_m, scene.sun, spectra, scene.posting_px
    )


@dataclass(frozen=True)
class _Draw:
    """One placement of the coarse DEM over a scene."""

    number: int
    shift_x_m: float
    shift_y_m: float


def _draws(scene: AlignedScene, params: PatchParams, seed: int) -> list[_Draw]:
    """The true place first (the aligned one where the truth is unknown), then random shifts, uniform over a disc."""
    random = stream(seed, "lunar-dtm", "misalignment", scene.id)
    draws = [_Draw(0, 0.0, 0.0)]
    for number in range(1, params.misalignments):
        radius, angle = params.misalignment_m * np.sqrt(random.uniform()), random.uniform(0, 2 * np.pi)
        draws.append(_Draw(number, float(radius * np.cos(angle)), float(radius * np.sin(angle))))
    return draws


def _cut_scene(
    wanted: tuple[Path, str], out: Path, params: PatchParams, spectra: Spectra, seed: int
) -> list[dict[str, Any]]:
    """Read an aligned scene, which is of one set, and write its shards; return their index rows."""
    folder, subset = wanted
    return _write_scene(load_aligned(folder), subset, out, params, spectra, seed)


def _write_scene(
    scene: AlignedScene, subset: str, out: Path, params: PatchParams, spectra: Spectra, seed: int
) -> list[dict[str, Any]]:
    """Write the shards of a scene; return their index rows."""
    truth = scene.truth_px(params.truth)
    rows: list[dict[str, Any]] = []
    # validation sees what the pipeline gives; training sees the truth and what the gate would let pass
    training = subset == "train"
    start = scene.coarse_true if training and scene.coarse_true else scene.coarse
    for draw in _draws(scene, params, seed)[: None if training else 1]:
        shift = AffineMap.shift(draw.shift_x_m, draw.shift_y_m)
        planes = scene_planes(scene, Raster(start.values, shift.moved(start.grid), start.tags), spectra)
        shard = f"{subset}/{scene.id}-{draw.number}.safetensors"
        kept = [
            corner
            for corner in corners(truth.shape, (params.height_px, params.width_px), params.overlap_px)
            if _valid_fraction(planes, truth, corner, params) >= params.min_valid_fraction
        ]
        if not kept:
            continue
        (out / subset).mkdir(parents=True, exist_ok=True)
        write_tensors(out / shard, _stack(planes, truth, kept, params))
        rows.extend(
            {
                "shard": shard, "position": position, "set": subset, "scene": scene.id, "site": scene.site,
                "kind": scene.kind, "row": row, "column": column, "shift_x_m": draw.shift_x_m,
                "shift_y_m": draw.shift_y_m, "gsd_m": scene.gsd_m, "sun_azimuth_deg": scene.sun.azimuth_deg,
                "sun_elevation_deg": scene.sun.elevation_deg,
            }
            for position, (row, column) in enumerate(kept)
        )  # fmt: skip
    return rows


def _valid_fraction(planes: Planes, truth: Array, corner: tuple[int, int], params: PatchParams) -> float:
    cut = _cut(corner, params)
    return float((np.isfinite(planes.brightness[cut]) & np.isfinite(truth[cut])).mean())


def _stack(
    planes: Planes, truth: Array, corners: Sequence[tuple[int, int]], params: PatchParams
) -> dict[str, NDArray[Any]]:
    """(patch, H, W) arrays; heights less the patch's mean coarse height, in float32; the rest fits float16."""
    cuts = [_cut(corner, params) for corner in corners]
    coarse = np.stack([planes.coarse[cut] - planes.coarse[cut].mean() for cut in cuts])
    residual = np.stack([truth[cut] - planes.coarse[cut] for cut in cuts])
    half = {
        "brightness": planes.brightness,
        "rendered": planes.rendered,
        "photoclinometry": planes.photoclinometry,
    }
    stacked = {
        name: np.stack([plane[cut] for cut in cuts]).astype(np.float16) for name, plane in half.items()
    }
    return {**stacked, "coarse": coarse.astype(np.float32), "residual": residual.astype(np.float32)}


def _cut(corner: tuple[int, int], params: PatchParams) -> tuple[slice, slice]:
    row, column = corner
    return slice(row, row + params.height_px), slice(column, column + params.width_px)
