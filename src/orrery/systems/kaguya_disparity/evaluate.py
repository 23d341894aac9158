"""Judging an estimate of the residual on whole test scenes, against the uncompressed disparity and (twin) against the truth."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from orrery.files import write_tensors
from orrery.instruments.terrain_camera import GSD_M
from orrery.reliability import reliability
from orrery.systems.kaguya_disparity.aligned import AlignedPair, Planes, list_aligned
from orrery.systems.kaguya_disparity.baselines import Filter, Linear
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.features import FEATURES
from orrery.systems.kaguya_disparity.metrics import (
    Sums,
    coverage,
    mean_over_patches,
    residual_figures,
)
from orrery.systems.kaguya_disparity.model import DisparityModel, Residual
from orrery.systems.kaguya_disparity.params import DiffusionParams, KaguyaParams
from orrery.systems.kaguya_disparity.pictures import middle, residual_picture, scatter_picture
from orrery.systems.split import split_of

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
CROP_PX = 192  # a diffusion model's many calls are made for the middle of a scene
BORDER_PX = 8
SAMPLES = (1, 4, 8)
COUNTED_PX = 64
EXAMPLES = (
    "examples.safetensors"  # the middle of each scene's estimate, px, for the pictures that compare methods
)


def evaluate(
    model: DisparityModel | Filter, aligned: Path, section: KaguyaParams, out: Path | None
) -> dict[str, Any]:
    """Judge on the test scenes, or, for a model of the split `patch`, on its test patches of all scenes.

    Returns:
        ``scenes``: scene -> figures under the standard condition, "@true" against the truth, "@<table>-<mean>" under others;
        ``pooled``: figures over the pixels of all of them, by condition; ``cost``: of the estimates.
    """
    judged = [_Judged(model, scene, section, out) for scene in _scenes(model, aligned, section)]
    sums: dict[str, Sums] = {}
    cost = Cost()
    for scene in judged:
        scene.judge(cost)
        for suffix, each in scene.sums.items():
            sums[suffix] = sums.get(suffix, Sums()) + each
    if out is not None:
        write_tensors(out / EXAMPLES, {scene.pair.id: scene.example for scene in judged})
    return {
        "variant": model.name,
        "scenes": {scene.pair.id: scene.row for scene in judged},
        "pooled": {suffix or "standard": each.figures() for suffix, each in sums.items()},
        "cost": cost.told(model),
    }


@dataclass
class Cost:
    """What estimates take on this machine.

    Attributes:
        seconds: in all.
        pixels: for so many.
    """

    seconds: float = 0.0
    pixels: int = 0

    def told(self, model: DisparityModel | Filter) -> dict[str, float]:
        """Plain data, with the network's calls and operations."""
        found = {"seconds": self.seconds, "pixels": self.pixels, "calls": 0, "gflop_per_mpx": 0.0}
        if isinstance(model, DisparityModel):
            found |= {"calls": model.calls, "gflop_per_mpx": gflop_per_mpx(model)}
        return found


def gflop_per_mpx(model: DisparityModel) -> float:
    """Operations of all calls, counted on a small image (one multiplication and addition are two)."""
    with FlopCounterMode(display=False) as counter:
        model.from_features(torch.zeros(len(FEATURES), COUNTED_PX, COUNTED_PX), Condition("", 4.0, 200.0))
    return float(counter.get_total_flops()) / COUNTED_PX**2 / 1e3


class _Judged:
    """One scene under judgement: `row` of figures, `sums` by condition, and an `example` of the estimate."""

    def __init__(
        self, model: DisparityModel | Filter, pair: AlignedPair, section: KaguyaParams, out: Path | None
    ) -> None:
        self.model, self.pair, self.out, self.patch_px = model, pair, out, section.patch.size_px
        self.patches = _patches(model)
        kept = "test" if self.patches is None else "test-patches"
        self.row: dict[str, Any] = {"set": kept, "site": pair.site, "kind": pair.kind}
        self.sums: dict[str, Sums] = {}

    def judge(self, cost: Cost) -> None:
        """All conditions; the cost of the estimates is added to `cost`."""
        for condition in _conditions(self.model, self.pair):
            planes, first = _cropped(self.model, self.pair.planes(condition))
            started = time.perf_counter()
            found = estimated(self.model, planes, condition)
            cost.seconds += time.perf_counter() - started
            cost.pixels += int(planes["valid"].size)
            mask = self._mask(planes, first)
            suffix = "" if condition == self.pair.conditions[0] else f"@{condition.key}"
            self._add(suffix, planes["residual"][mask], found.mean_px[mask])
            if not suffix:
                self._standard(found, planes, mask, condition)

    def _add(self, suffix: str, truth: Array, guess: Array) -> None:
        self.sums[suffix] = Sums.of(truth, guess)
        self._note(residual_figures(truth, guess, GSD_M), suffix)

    def _note(self, figures: Mapping[str, float], suffix: str = "") -> None:
        self.row |= {f"{name}{suffix}": float(each) for name, each in figures.items() if np.isfinite(each)}

    def _standard(self, found: Residual, planes: Planes, mask: Mask, condition: Condition) -> None:
        """Further figures under the standard condition: of patches, 1-sigma, samples, against the truth; pictures."""
        truth, guess = planes["residual"], found.mean_px
        self._note(mean_over_patches(_parts(truth, guess, mask, self.patch_px)))
        if found.sigma_px is not None:
            self._note({"coverage_1sigma": coverage(truth[mask], guess[mask], found.sigma_px[mask])})
            self.row["reliability"] = reliability((guess - truth)[mask], found.sigma_px[mask])
        if found.samples_px is not None:
            self._samples(found.samples_px, planes, mask, condition)
        if "true" in planes:
            self._add("@true", (planes["true"] - planes["disparity"])[mask], guess[mask])
        self.example = middle(guess).astype(np.float16)
        if self.out is not None and self.patches is None:
            residual_picture(self.pair.id, planes, found, self.out / f"{self.pair.id}.png")
            scatter_picture(self.pair.id, truth[mask], guess[mask], self.out / f"{self.pair.id}-scatter.png")

    def _samples(self, samples_px: Array, planes: Planes, mask: Mask, condition: Condition) -> None:
        """The mean of the first K samples, and what the model says to pure noise alone: the mean of its posterior."""
        assert isinstance(self.model, DisparityModel)
        first = estimated(self.model.with_sampling(calls=1), planes, condition).mean_px
        means = {f"samples-{k}": samples_px[:k].mean(0) for k in SAMPLES if k <= len(samples_px)}
        for name, guess in {**means, "first-call": first}.items():
            self.sums[f"@{name}"] = Sums.of(planes["residual"][mask], guess[mask])

    def _mask(self, planes: Planes, first: tuple[int, int]) -> Mask:
        """Valid pixels, without a border, or those of a scene's test patches."""
        valid = planes["valid"] > 0
        chosen = np.zeros_like(valid)
        if self.patches is None:
            chosen[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
        else:
            for row, column in self.patches[self.pair.id]:
                top, left = row - first[0], column - first[1]
                chosen[
                    max(0, top) : max(0, top + self.patch_px), max(0, left) : max(0, left + self.patch_px)
                ] = True
        return np.asarray(valid & chosen)


def estimated(model: DisparityModel | Filter, planes: Planes, condition: Condition) -> Residual:
    """The residual of a scene."""
    if isinstance(model, DisparityModel):
        return model.residual(planes["left"], planes["right"], planes["disparity"], condition)
    return Residual(model.estimate(planes))


def _parts(truth: Array, guess: Array, mask: Mask, size_px: int) -> list[tuple[Array, Array]]:
    """Valid pixels of patches that do not overlap."""
    windows = [
        np.s_[row : row + size_px, column : column + size_px]
        for row in range(0, truth.shape[0] - size_px + 1, size_px)
        for column in range(0, truth.shape[1] - size_px + 1, size_px)
    ]
    return [(truth[window][mask[window]], guess[window][mask[window]]) for window in windows]


def _scenes(model: DisparityModel | Filter, aligned: Path, section: KaguyaParams) -> list[AlignedPair]:
    """The test scenes; all scenes that hold test patches where a model was trained on random patches."""
    patches = _patches(model)
    if patches is not None:
        return [scene for scene in list_aligned(aligned) if scene.id in patches]
    return [scene for scene in list_aligned(aligned) if split_of(scene.id, section.split) == "test"]


def _patches(model: DisparityModel | Filter) -> dict[str, list[list[int]]] | None:
    """Test patches by scene, of a model of the split `patch`."""
    if isinstance(model, DisparityModel) and model.variant.split == "patch":
        return dict(model.test_patches or {})
    return None


def _conditions(model: DisparityModel | Filter, scene: AlignedPair) -> Sequence[Condition]:
    """All conditions for a filter or a model that is told them, else the standard one."""
    if isinstance(model, DisparityModel) and not model.variant.conditioned:
        return scene.conditions[:1]
    if isinstance(model, Linear):  # its further windows were matched under the standard condition alone
        return scene.conditions[:1]
    return scene.conditions if _patches(model) is None else scene.conditions[:1]


def _cropped(model: DisparityModel | Filter, planes: Planes) -> tuple[Planes, tuple[int, int]]:
    """The planes, or their middle for a diffusion model, and where they begin."""
    if not (isinstance(model, DisparityModel) and isinstance(model.variant.method, DiffusionParams)):
        return planes, (0, 0)
    height, width = planes["valid"].shape
    row, column = max(0, (height - CROP_PX) // 2), max(0, (width - CROP_PX) // 2)
    part = np.s_[row : row + CROP_PX, column : column + CROP_PX]
    return {name: plane[part] for name, plane in planes.items()}, (row, column)
