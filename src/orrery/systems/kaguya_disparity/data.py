"""Patches as batches: the data set and the LightningDataModule of kaguya-disparity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from orrery.distributed import Share
from orrery.errors import OrreryError
from orrery.optimisation import SeededBatches
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.model import inputs
from orrery.systems.kaguya_disparity.params import VariantParams
from orrery.systems.kaguya_disparity.scaling import scaling_of
from orrery.systems.shards import open_patch, read_index

Batch = dict[str, Tensor]
COLUMNS = ("split", "standard", "table", "step", "mean_count")
LARGEST_TARGET = 6.0  # standard deviations; what lies beyond is a false match that passed


class PatchDataset(Dataset[Batch]):
    """The patches of one set.

    An item has `inputs` (C, H, W), `target` (1, H, W) in expected standard deviations and 0 where invalid, `valid` (1, H, W), and `scale` (1, 1, 1),
    that deviation in px.

    Args:
        root: what the patch stage wrote.
        subset: "train" or "validation"; of the split `patch`, whose validation patches are those of the split `pair`.
        variant: inputs, split, and whether all conditions are wanted or the standard one alone.
    """

    def __init__(self, root: Path, subset: str, variant: VariantParams) -> None:
        index = read_index(root, COLUMNS)
        split = variant.split if subset == "train" else "pair"
        wanted = (index["split"] == split) & (index["set"] == subset)
        if not variant.conditioned:
            wanted &= index["standard"]
        self.index = index[wanted].reset_index(drop=True)
        if self.index.empty:
            remedy = "check the split, run patch again"
            raise OrreryError(f"no patches of the set {subset!r}", file=root, remedy=remedy)
        self.root, self.variant, self.scaling = root, variant, scaling_of(root)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> Batch:
        features, residual, valid = self.planes(number)
        condition = self.condition(number)
        score = residual.float() / self.scaling.of(condition) - self.scaling.mean
        return {
            "inputs": inputs(features.float(), condition, self.variant),
            "target": (score.clamp(-LARGEST_TARGET, LARGEST_TARGET) * valid)[None].float(),
            "valid": valid[None].float(),
            "scale": torch.full((1, 1, 1), self.scaling.of(condition)),
        }

    def planes(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Features, residual and validity of a patch, as they are stored."""
        with open_patch(self.root, self.index.iloc[number], "pt") as (plane, _):
            return plane("features"), plane("residual"), plane("valid")

    def condition(self, number: int) -> Condition:
        """How a patch was compressed."""
        row = self.index.iloc[number]
        return Condition(str(row["table"]), float(row["step"]), float(row["mean_count"]))


class PatchData(pl.LightningDataModule):
    """Training and validation patches.

    Args:
        root: what the patch stage wrote.
        variant: what to make of them.
        seed: of the order of the batches.
        workers: loader processes.
    """

    def __init__(self, root: Path, variant: VariantParams, seed: int, workers: int = 0) -> None:
        super().__init__()
        self.root, self.variant, self.seed, self.workers = root, variant, seed, workers
        self.first_step = 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Seeded batches, from `first_step` on."""
        data, options = PatchDataset(self.root, "train", self.variant), self.variant.optimiser
        sampler = SeededBatches(len(data), options.batch_size, options.steps, self.seed, self.first_step)
        return self._loader(data, batch_sampler=Share(sampler))

    def val_dataloader(self) -> DataLoader[Batch]:
        """All validation patches, in order."""
        data = PatchDataset(self.root, "validation", self.variant)
        return self._loader(data, batch_size=self.variant.optimiser.batch_size)

    def _loader(self, data: PatchDataset, **options: Any) -> DataLoader[Batch]:
        return DataLoader(data, num_workers=self.workers, **options)
