"""Patches as batches: the data set and the LightningDataModule of mars-bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from orrery.distributed import Share
from orrery.errors import OrreryError
from orrery.files import read_as, read_json, reading
from orrery.optimisation import SeededBatches
from orrery.seeds import stream
from orrery.systems.mars_bands.augment import augmented
from orrery.systems.mars_bands.normalisation import (
    Moments,
    Normalisation,
    fitted,
    moments,
    of_bands,
    statistics_of,
)
from orrery.systems.mars_bands.params import VariantParams
from orrery.systems.mars_bands.spectral import SpectralBasis
from orrery.systems.mars_bands.tile import HEIGHT_SCALE_M, Statistics
from orrery.systems.shards import REMEDY, open_patch, read_index

Array = NDArray[np.float32]
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class WholeScene:
    """What the patch stage noted of a scene."""

    image: Statistics
    bands: Moments


def normalisation_of(root: Path, variant: VariantParams, kept_nm: list[float]) -> Normalisation:
    """The variant's normalisation with the statistics that the patch stage wrote, for the variant's bands."""
    statistics = read_as(
        root / "statistics.json", dict[str, dict[str, Any]], "a file of statistics by region", REMEDY
    )
    if unknown := sorted(set(variant.leave_out) - set(statistics)):
        raise OrreryError(
            f"has no training scene of {', '.join(unknown)}, which a variant leaves out",
            file=root / "statistics.json",
            remedy=f"let leave_out name some of {', '.join(sorted(statistics))}",
        )
    of = "coefficients" if variant.bands == "all" else "reflectance"
    with reading(root / "statistics.json", "a file of statistics by region", REMEDY):
        return fitted(variant.normalisation, statistics, places(variant, kept_nm), variant.leave_out, of)


def basis_of(root: Path, variant: VariantParams) -> SpectralBasis | None:
    """The spectral basis that the patch stage fitted, with the variant's number of components; None for single bands."""
    if variant.bands != "all":
        return None
    path = root / "basis.json"
    content = read_json(path)
    with reading(path, "a spectral basis", REMEDY):
        return SpectralBasis.from_dict(content).first(variant.targets)


def places(variant: VariantParams, kept_nm: list[float]) -> list[int]:
    """Positions of the variant's bands, or coefficients, among those that patches keep."""
    if variant.bands == "all":
        return list(range(variant.targets))
    return [int(np.argmin(np.abs(np.asarray(kept_nm) - band))) for band in variant.bands]


class Draws(Sampler[list[tuple[int, int]]]):
    """Batches of patches with the number of each draw, on which its augmentation depends, whoever loads it and whenever."""

    def __init__(self, batches: SeededBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.batches.first_step * self.batches.batch_size
        numbers = count(first)
        for picks in self.batches:
            yield [(pick, next(numbers)) for pick in picks]


class PatchDataset(Dataset[Batch]):
    """The patches of one set, normalised.

    An item has `inputs` (1 or 2, H, W), `target` (B, H, W) with 0 where invalid, `valid` (1, H, W). Where whole spectra are
    predicted their coefficients stand for bands.

    Args:
        root: what the patch stage wrote.
        subset: "train" or "validation".
        variant: bands, placement and normalisation. Validation patches are placed as the pipeline aligned them.
        kept_nm: `patch.wavelengths_nm`.
        seed: of the augmentation.
    """

    def __init__(
        self, root: Path, subset: str, variant: VariantParams, kept_nm: list[float], seed: int = 0
    ) -> None:
        index = read_index(root, ("region", "scene", "gsd_m"))
        wanted = (index["set"] == subset) & ~(index["region"].isin(variant.leave_out) & (subset == "train"))
        self.index = index[wanted].reset_index(drop=True)
        if self.index.empty:
            raise OrreryError(
                f"no patches of the set {subset!r}", file=root, remedy="check the split, run patch again"
            )
        self.root, self.variant, self.bands, self.seed = root, variant, places(variant, kept_nm), seed
        self.placement = variant.placement if subset == "train" else "local"
        self.truth = "coefficients" if variant.bands == "all" else f"bands-{self.placement}"
        self.normalisation = normalisation_of(root, variant, kept_nm)
        self.scenes = read_as(
            root / "scenes.json", dict[str, WholeScene], "a file of statistics by scene", REMEDY
        )

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | tuple[int, int]) -> Batch:
        """A patch by its number; with the number of a draw, as that draw augments it."""
        number, draw = key if isinstance(key, tuple) else (key, None)
        planes = self.planes(number)
        if draw is not None:
            rng = stream(self.seed, "augmentation", draw)
            planes = augmented(planes, self.variant.augmentation, rng)
        image, bands = planes["image"], planes["bands"]
        statistics, own = self.own(number, image, bands)
        valid = np.isfinite(bands).all(0) & np.isfinite(image)
        inputs = [self.normalisation.image(image, statistics)]
        if self.variant.dem:
            dem = planes.get("dem")
            if dem is None:
                problem, remedy = "holds no heights", "give its scene a DEM, or a variant without `dem`"
                raise OrreryError(problem, file=self.root / self.index.iloc[number]["shard"], remedy=remedy)
            inputs.append(np.nan_to_num((dem - np.nanmean(dem)) / HEIGHT_SCALE_M).astype(np.float32))
        target = np.where(valid, self.normalisation.target(bands, planes["base"], own), 0)
        return {
            "inputs": torch.from_numpy(np.stack(inputs)),
            "target": torch.from_numpy(target.astype(np.float32)),
            "valid": torch.from_numpy(valid[None]),
        }

    def planes(self, number: int) -> dict[str, Array]:
        """I/F of a patch: `image`, `base` (H, W), `bands` (B, H, W), and `dem` in m where there is one."""
        row = self.index.iloc[number]
        with open_patch(self.root, row) as (plane, known):
            names = ("image", "base", *({"dem"} & known))
            planes: dict[str, Array] = {name: plane(name) for name in names}
            planes["bands"] = plane(self.truth)[self.bands]
        return planes

    def gsd_m(self, number: int) -> float:
        """Pixel size of a patch, m."""
        return float(self.index.iloc[number]["gsd_m"])

    def own(self, number: int, image: Array, bands: Array) -> tuple[Statistics, Moments]:
        """Statistics of the whole scene, or of the patch where the variant normalises by patch."""
        if self.variant.normalisation == "patch":
            return statistics_of(image), moments(image, bands)
        with reading(self.root / "scenes.json", "a file of statistics by scene", REMEDY):
            whole = self.scenes[self.index.iloc[number]["scene"]]
            if self.variant.bands == "all":  # no z-scores by scene: see `VariantParams`
                return whole.image, self.normalisation.overall
            return whole.image, of_bands(whole.bands, self.bands)


class PatchData(pl.LightningDataModule):
    """Training and validation patches.

    Args:
        root: what the patch stage wrote.
        variant: what to make of them.
        kept_nm: `patch.wavelengths_nm`.
        seed: of the order of the batches, and of augmentation.
        workers: loader processes.
    """

    def __init__(
        self, root: Path, variant: VariantParams, kept_nm: list[float], seed: int, workers: int = 0
    ) -> None:
        super().__init__()
        self.root, self.variant, self.kept_nm, self.seed, self.workers = root, variant, kept_nm, seed, workers
        self.first_step = 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Seeded batches, from `first_step` on."""
        data, options = self._data("train"), self.variant.optimiser
        sampler = SeededBatches(len(data), options.batch_size, options.steps, self.seed, self.first_step)
        return self._loader(
            data, batch_sampler=Share(Draws(sampler) if self.variant.augmentation else sampler)
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """All validation patches, in order."""
        return self._loader(self._data("validation"), batch_size=self.variant.optimiser.batch_size)

    def _data(self, subset: str) -> PatchDataset:
        return PatchDataset(self.root, subset, self.variant, self.kept_nm, self.seed)

    def _loader(self, data: PatchDataset, **options: Any) -> DataLoader[Batch]:
        return DataLoader(data, num_workers=self.workers, **options)
