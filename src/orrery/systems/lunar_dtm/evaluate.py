"""Judging a model on whole test scenes, at the true alignment and at the pipeline's own."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.raster.io import Raster
from orrery.raster.tiles import Axis, RowBlender
from orrery.reliability import reliability
from orrery.systems.lunar_dtm.aligned import AlignedScene, load_aligned
from orrery.systems.lunar_dtm.features import Planes
from orrery.systems.lunar_dtm.metrics import (
    TILE_PX,
    coverage,
    cross_sun_spread_m,
    directional_slope_error,
    effective_resolution_m,
    height_metrics,
    inner,
    paper_metrics,
)
from orrery.systems.lunar_dtm.model import TerrainModel
from orrery.systems.lunar_dtm.params import LunarParams
from orrery.systems.lunar_dtm.patches import scene_planes
from orrery.systems.lunar_dtm.pictures import scene_picture
from orrery.systems.split import split_of

Array = NDArray[np.float32]
OVERLAP_PX = 100
PAPER_VARIANT = "dlunardtmnet"  # whose studies of other suns stand beside ours


def evaluate(model: TerrainModel, aligned: Path, section: LunarParams, out: Path | None) -> dict[str, Any]:
    """Judge `model` on the test scenes, and the champion's variant, the paper's and the baselines on the extra ones.

    Returns:
        ``scenes``: scene -> metrics at the pipeline's alignment, and for test scenes the same with the suffix ``@true``
        at the true one; ``sites``: what several images of one site say together. Pictures go under `out`.
    """
    scenes: dict[str, dict[str, Any]] = {}
    together: dict[str, list[Array]] = {}
    champion = (
        model.name == section.champion_variant
    )  # all its test scenes are pictured, of other variants the first one
    studied = model.variant is None or champion or model.name == PAPER_VARIANT
    for scene in judged_scenes(aligned, section, ("test", "extra") if studied else ("test",)):
        row: dict[str, Any] = {
            "set": split_of(scene.id, section.split),
            "kind": scene.kind,
            "site": scene.site,
            "incidence_deg": scene.sun.incidence_deg,
        }
        test = row["set"] == "test"
        for suffix, coarse in placements(scene) if test else [("", scene.coarse)]:
            planes = scene_planes(scene, coarse, model.spectra)
            heights, sigma = predict_scene(model, planes)
            row |= {f"{name}{suffix}": value for name, value in judge(scene, planes, heights, sigma).items()}
            if not suffix:
                row["reliability"] = reliability(
                    inner(heights - scene.truth_px() * scene.gsd_m), inner(sigma)
                )
                if not test:
                    together.setdefault(scene.site, []).append(heights)
                if out is not None and test and (champion or not any(out.glob("*.png"))):
                    scene_picture(scene, planes.coarse * scene.gsd_m, heights, sigma, out / f"{scene.id}.png")
        scenes[scene.id] = row
    return {"variant": model.name, "scenes": scenes, "sites": _sites(together)}


def judged_scenes(aligned: Path, section: LunarParams, sets: Collection[str]) -> Iterator[AlignedScene]:
    """The scenes of some sets, in order."""
    for folder in sorted(path for path in aligned.iterdir() if path.is_dir()):
        if split_of(folder.name, section.split) in sets:
            yield load_aligned(folder)


def placements(scene: AlignedScene) -> list[tuple[str, Raster]]:
    """Where the coarse DEM is put: by the pipeline, and where known by the truth."""
    true = [("@true", scene.coarse_true)] if scene.coarse_true is not None else []
    return [("", scene.coarse), *true]


def judge(scene: AlignedScene, planes: Planes, heights: Array, sigma: Array) -> dict[str, float]:
    """All metrics of one prediction; heights and sigma in m."""
    truth, coarse = scene.truth_px() * scene.gsd_m, planes.coarse * scene.gsd_m
    return {
        **height_metrics(heights, truth, coarse, scene.gsd_m),
        **paper_metrics(heights, truth, coarse),
        **directional_slope_error(heights, truth, scene.gsd_m, scene.sun),
        "coverage_1sigma": coverage(heights, sigma, truth),
        "effective_resolution_m": effective_resolution_m(heights, truth, scene.gsd_m),
        "bias_m": float(np.nanmedian(inner(heights - truth))),
    }


def predict_scene(model: TerrainModel, planes: Planes) -> tuple[Array, Array]:
    """Heights and 1-sigma of a whole scene, m.

    A recipe that normalises by the tile sees overlapping tiles, each aligned vertically to the coarse DEM and blended;
    one that does not gives the same whole as in tiles.
    """
    if model.variant is None or model.variant.recipe.name == "physical":
        heights, sigma = model.heights(planes)
    else:
        heights, sigma = _tiled(model, planes)
    return heights * np.float32(planes.gsd_m), sigma * np.float32(planes.gsd_m)


def _tiled(model: TerrainModel, planes: Planes) -> tuple[Array, Array]:
    """Heights and 1-sigma, px, from the paper's tiles: 256 x 320 px, 100 px overlap."""
    height, width = planes.coarse.shape
    down, across = Axis.over(height, TILE_PX[0], OVERLAP_PX), Axis.over(width, TILE_PX[1], OVERLAP_PX)
    blender = RowBlender(width, 2)
    for (i, row), (j, column) in itertools.product(enumerate(down.starts), enumerate(across.starts)):
        part = planes.window(slice(row, row + down.tile), slice(column, column + across.tile))
        heights, sigma = model.heights(part)
        heights = heights - np.nanmedian(heights - part.coarse)
        blender.add(row, column, np.outer(down.weights(i), across.weights(j)), [heights, sigma])
    heights, sigma = blender.finish(height)
    return heights, sigma


def _sites(together: dict[str, list[Array]]) -> dict[str, dict[str, float]]:
    """Agreement of predictions that lie on one grid: the several suns of a site."""
    return {
        site: {"suns": len(maps), "cross_sun_spread_m": cross_sun_spread_m(maps), **_pairwise(maps)}
        for site, maps in together.items()
        if len(maps) > 2 and len({plane.shape for plane in maps}) == 1
    }


def _pairwise(maps: list[Array]) -> dict[str, float]:
    """Mean absolute difference between any two predictions of a site, m, after removing its median."""
    differences = [inner(a - b) for a, b in itertools.combinations(maps, 2)]
    return {"pairwise_mae_m": float(np.mean([np.nanmean(np.abs(d - np.nanmedian(d))) for d in differences]))}
