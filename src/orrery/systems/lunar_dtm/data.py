"""Patches as batches: the data set and the LightningDataModule of lunar-dtm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from orrery.distributed import Share
from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.optimisation import SeededBatches
from orrery.systems.lunar_dtm.features import Planes
from orrery.systems.lunar_dtm.recipes import Encoded, Recipe
from orrery.systems.shards import open_patch, read_index

Batch = dict[str, Tensor]
Array = NDArray[np.float32]
PLANES = ("brightness", "rendered", "photoclinometry", "coarse", "residual")


class PatchDataset(Dataset[Batch]):
    """The patches of one set, encoded by a recipe.

    An item has `inputs` (C, H, W), `target`, `base` and boolean `valid`, all (1, H, W); see `recipes.Encoded`.
    """

    def __init__(self, root: Path, subset: str, recipe: Recipe) -> None:
        index = read_index(root, ("sun_azimuth_deg", "sun_elevation_deg", "gsd_m"))
        self.index = index[index["set"] == subset].reset_index(drop=True)
        if self.index.empty:
            raise OrreryError(
                f"no patches of the set {subset!r}", file=root, remedy="check the split, run patch again"
            )
        self.root, self.recipe = root, recipe

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> Batch:
        return self.item(number)[0]

    def item(self, number: int) -> tuple[Batch, Encoded, Array]:
        """A patch as tensors, its encoding (the way back to heights), and its true heights, (H, W) px."""
        row = self.index.iloc[number]
        with open_patch(self.root, row) as (plane, _):
            patch = {name: plane(name).astype(np.float32) for name in PLANES}
        sun = Sun(float(row["sun_azimuth_deg"]), float(row["sun_elevation_deg"]))
        planes = Planes(
            patch["brightness"],
            patch["rendered"],
            patch["photoclinometry"],
            patch["coarse"],
            sun,
            float(row["gsd_m"]),
        )
        encoded, truth = self.recipe.encode(planes), patch["coarse"] + patch["residual"]
        target = encoded.target(truth)
        valid = np.isfinite(target)
        arrays = {"inputs": encoded.inputs, "base": encoded.base, "target": np.where(valid, target, 0)}
        batch = {
            name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()
        }
        return {**batch, "valid": torch.from_numpy(valid.copy())}, encoded, truth


class PatchData(pl.LightningDataModule):
    """Training and validation patches.

    Args:
        root: what the patch stage wrote.
        recipe: how planes become inputs.
        batch_size: patches a step.
        steps: length of the training.
        seed: of the order of the batches.
        workers: loader processes.
    """

    def __init__(
        self, root: Path, recipe: Recipe, batch_size: int, steps: int, seed: int, workers: int = 0
    ) -> None:
        super().__init__()
        self.root, self.recipe, self.batch_size = root, recipe, batch_size
        self.steps, self.seed, self.workers = steps, seed, workers
        self.first_step = 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Seeded batches, from `first_step` on."""
        data = PatchDataset(self.root, "train", self.recipe)
        sampler = SeededBatches(len(data), self.batch_size, self.steps, self.seed, self.first_step)
        return DataLoader(data, batch_sampler=Share(sampler), num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """All validation patches, in order."""
        data = PatchDataset(self.root, "validation", self.recipe)
        return DataLoader(data, batch_size=self.batch_size, num_workers=self.workers)
