"""Patches in shards: a safetensors file a scene, its features and residuals under every condition, and the statistics to scale by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orrery.cluster import each
from orrery.errors import OrreryError
from orrery.files import replacing, write_json, write_tensors
from orrery.raster.tiles import corners
from orrery.seeds import stream
from orrery.systems.kaguya_disparity.aligned import AlignedPair, Planes, list_aligned
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.features import features
from orrery.systems.kaguya_disparity.params import KaguyaParams, PatchParams
from orrery.systems.kaguya_disparity.scaling import Scaling, fitted
from orrery.systems.shards import read_index
from orrery.systems.split import refuse_shared_ground, split_of

Array = NDArray[np.float32]


def make_patches(aligned: Path, out: Path, params: KaguyaParams, seed: int) -> None:
    """Write shards, index.parquet, split.json and statistics.json.

    The index has two splits: `pair` keeps whole pairs apart; `patch` draws patches that do not overlap, of all pairs under the
    standard condition, at random into training and test, as the paper does.

    Raises:
        OrreryError: no training scene, a place in two sets, or no patch with enough valid pixels.
    """
    scenes = list_aligned(aligned)
    sets = {scene.id: split_of(scene.id, params.split) for scene in scenes}
    refuse_shared_ground(scenes, sets)
    if "train" not in sets.values():
        remedy = "check systems.kaguya-disparity.split.train"
        raise OrreryError("holds no training scene", file=aligned, remedy=remedy)
    scaling = _fit([scene for scene in scenes if sets[scene.id] == "train"])
    with replacing(out) as temporary:
        temporary.mkdir()
        cut = partial(_write, sets=sets, scaling=scaling, out=temporary, params=params.patch)
        rows = [row for found in each(cut, scenes, "patch") for row in found]
        index = _drawn_sets(pd.DataFrame(rows), params.patch, seed)
        if index[(index["split"] == "pair") & (index["set"] == "train")].empty:
            remedy = "lower patch.min_valid_fraction or size_px"
            raise OrreryError("no training patch has enough valid pixels", file=aligned, remedy=remedy)
        write_json(temporary / "statistics.json", scaling.to_dict())
        write_json(temporary / "split.json", sets)
        index.to_parquet(temporary / "index.parquet", index=False)


def _fit(scenes: Sequence[AlignedPair]) -> Scaling:
    """The power law of the training scenes' residuals."""
    conditions: list[Condition] = []
    deviations, means = [], []
    for scene in scenes:
        for condition in scene.conditions:
            planes = scene.planes(condition)
            residual = planes["residual"][planes["valid"] > 0]
            if residual.size:
                conditions.append(condition)
                deviations.append(float(residual.std()))
                means.append(float(residual.mean()))
    if not conditions:
        raise OrreryError("no training scene has a valid pixel", remedy="look at the gate's verdict")
    return fitted(conditions, deviations, means)


def _write(
    scene: AlignedPair, sets: Mapping[str, str], scaling: Scaling, out: Path, params: PatchParams
) -> list[dict[str, Any]]:
    """Write a scene's shard; return its index rows."""
    rows: list[dict[str, Any]] = []
    subset = sets[scene.id]
    jobs = [
        (scene.conditions[0], "patch", 0)
    ]  # split `patch`: without overlap, else test pixels would be trained on
    if subset in ("train", "validation"):
        jobs += [(condition, "pair", params.overlap_px) for condition in scene.conditions]
    cut: dict[str, list[NDArray[Any]]] = {"features": [], "residual": [], "valid": []}
    for condition, split, overlap_px in jobs:
        planes = scene.planes(condition)
        seen = scene_features(planes, condition, scaling)
        for corner in corners(planes["valid"].shape, (params.size_px, params.size_px), overlap_px):
            part = np.s_[..., corner[0] : corner[0] + params.size_px, corner[1] : corner[1] + params.size_px]
            if planes["valid"][part].mean() >= params.min_valid_fraction:
                rows.append({
                    "shard": f"{scene.id}.safetensors", "position": len(cut["valid"]), "split": split,
                    "set": subset if split == "pair" else "", "scene": scene.id, "site": scene.site,
                    "row": corner[0], "column": corner[1], "standard": condition == scene.conditions[0],
                    **vars(condition),
                })  # fmt: skip
                cut["features"].append(seen[part].astype(np.float16))
                cut["residual"].append(planes["residual"][part].astype(np.float16))
                cut["valid"].append(planes["valid"][part].astype(np.uint8))
    if cut["valid"]:
        write_tensors(out / f"{scene.id}.safetensors", {name: np.stack(parts) for name, parts in cut.items()})
    return rows


def scene_features(planes: Planes, condition: Condition, scaling: Scaling) -> Array:
    """(5, H, W) features of a whole scene."""
    return features(
        planes["left"], planes["right"], planes["disparity"], condition.mean_count, scaling.of(condition)
    )


def _drawn_sets(index: pd.DataFrame, params: PatchParams, seed: int) -> pd.DataFrame:
    """The index with the random sets of the split `patch`."""
    places = np.flatnonzero(index["split"] == "patch")
    order = stream(seed, "kaguya-disparity", "leaky").permutation(places)
    tests = set(order[: max(1, round(params.leaky_test_share * len(order)))].tolist())
    index.loc[places, "set"] = ["test" if place in tests else "train" for place in places]
    return index


def held_out_patches(patches: Path) -> dict[str, list[list[int]]]:
    """Corners of the test patches of the split `patch`, by scene."""
    index = read_index(patches, ("split", "scene", "row", "column"))
    kept = index[(index["split"] == "patch") & (index["set"] == "test")]
    return {
        str(scene): [[int(row), int(column)] for row, column in zip(rows["row"], rows["column"], strict=True)]
        for scene, rows in kept.groupby("scene")
    }
