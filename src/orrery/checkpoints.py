"""What a training keeps on its way: its last state, to go on from, and its best weights."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from torch import nn

from orrery.files import reading, replacing, write_tensors

LAST, BEST = "last.ckpt", "best.safetensors"
LEAST = ".least"  # beside the weights: what they were judged by; no weight has such a name
# What a checkpoint holds.
PARTS = {"global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks"}


class LoggedCheckpoint(ModelCheckpoint):
    """A checkpoint that counts only once the metrics and the validation of its step are logged.

    Lightning saves before that: a training killed just then would go on behind a gap in its curves. So it saves under another
    name, which becomes `last.ckpt` as the next step begins.
    """

    CHECKPOINT_NAME_LAST = "pending"

    @property
    def _pending(self) -> Path:
        return Path(str(self.dirpath)) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget one whose step was never logged."""
        super().on_train_start(trainer, pl_module)
        if trainer.is_global_zero:
            self._pending.unlink(missing_ok=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The step before this one is logged."""
        self._settle(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """So is the last one."""
        super().on_train_end(trainer, pl_module)
        self._settle(trainer)

    def _settle(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero and self._pending.exists():
            os.replace(self._pending, self._pending.with_name(LAST))


class BestWeights(pl.Callback):
    """Keeps the weights, averaged where they are, of the best validation so far, by what the task calls its `monitor`.

    How good they were stands in their file: a checkpoint of the same step is older than its validation. The callback must stand before
    `EMAWeightAveraging`, which puts the averaged weights away as a validation's epoch ends.
    """

    def __init__(self, folder: Path) -> None:
        self.file, self.least = folder / BEST, math.inf
        self._seen: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What a resumed training has to beat."""
        if self.file.exists():
            self.least = float(self._read().pop(LEAST))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The weights that were judged."""
        self._seen = plain(pl_module.net)  # type: ignore[arg-type]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write them where they are better than any before."""
        judged = float(trainer.callback_metrics[pl_module.monitor])  # type: ignore[index]
        if judged < self.least:
            self.least = judged
            if trainer.is_global_zero:
                with replacing(self.file) as temporary:
                    write_tensors(temporary, {**self._seen, LEAST: np.array(judged)})
            trainer.strategy.barrier()  # nobody reads before it is there

    def restore(self, network: nn.Module) -> None:
        """Give a network the best weights; where no validation was finite, it keeps its own."""
        if self.file.exists():
            weights = self._read()
            weights.pop(LEAST)
            network.load_state_dict(weights)

    def _read(self) -> dict[str, torch.Tensor]:
        with reading(self.file, "a file of the best weights", "delete its folder to train afresh"):
            found = load_file(self.file)
            if LEAST not in found:
                raise ValueError("does not tell how good they were")
            return found


def plain(network: nn.Module) -> dict[str, Any]:
    """Copies of weights and buffers as arrays, by name."""
    state = network.state_dict()
    return {name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in state.items()}


def steps_done(checkpoint: Path) -> int:
    """How far a training had come.

    Raises:
        OrreryError: the checkpoint is damaged, or none.
    """
    with reading(checkpoint, "a checkpoint", "delete it to start the training afresh"):
        with ZipFile(checkpoint) as archive:
            if damaged := archive.testzip():  # torch compares no check sums
                raise ValueError(f"{damaged} does not fit its check sum")
        try:
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:  # of torch's unpickler, on data that is not plain
            raise ValueError(str(error).partition("\n")[0]) from error
        if lacking := sorted(PARTS - set(content)):
            raise ValueError(f"lacks {', '.join(lacking)}")
        return int(content["global_step"])
