"""The LightningModule of lunar-dtm: the same for every network and recipe."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from orrery.distributed import whole
from orrery.optimisation import configured
from orrery.systems.lunar_dtm.data import Batch
from orrery.systems.lunar_dtm.losses import Surfaces, weighted
from orrery.systems.lunar_dtm.nets import build
from orrery.systems.lunar_dtm.params import VariantParams


class TerrainTask(pl.LightningModule):
    """Learns heights from patches.

    Args:
        variant: network, recipe, loss weights and optimiser.
    """

    monitor = (
        "val/rmse"  #: root mean square height error on the validation patches, in the units of the target
    )

    def __init__(self, variant: VariantParams) -> None:
        super().__init__()
        self.save_hyperparameters(variant.model_dump())
        self.variant = variant
        self.net = build(variant)

    def configure_optimizers(self) -> Any:
        """As the variant's `optimiser` says."""
        return configured(self.parameters(), self.variant.optimiser)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, C, H, W) inputs to (N, 1 or 2, H, W): heights in target units, log sigma."""
        out: Tensor = self.net(inputs)
        return out

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The weighted loss of a batch; each term is logged by its name."""
        surfaces = self._surfaces(batch)
        total, terms = weighted(surfaces, self.variant.losses, self.variant.gradient_operator)
        size = len(batch["inputs"])
        self.log("train/loss", total, prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=size)
        return total

    def validation_step(self, batch: Batch, index: int) -> None:
        """Height error over valid pixels."""
        s = self._surfaces(batch)
        squares = torch.where(s.valid, (s.predicted - s.truth) ** 2, torch.zeros_like(s.truth))
        self.log("val/mse", squares.sum() / s.valid.sum().clamp(min=1), batch_size=len(batch["inputs"]))

    def on_validation_epoch_end(self) -> None:
        """The root mean square is taken after the mean over batches."""
        mean = self.trainer.callback_metrics.get("val/mse")
        if mean is not None:
            self.log(self.monitor, mean.sqrt(), prog_bar=True)

    def predict_step(self, batch: Batch, index: int) -> Tensor:
        """Network output for a batch."""
        return self.forward(batch["inputs"])

    def _surfaces(self, batch: Batch) -> Surfaces:
        output = self(batch["inputs"]).float()
        output, base, target, valid = whole((output, batch["base"], batch["target"], batch["valid"]))
        log_sigma = output[:, 1:2] if output.shape[1] > 1 else None
        return Surfaces(base + output[:, :1], base + target, valid, log_sigma)
