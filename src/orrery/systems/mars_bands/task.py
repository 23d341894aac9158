"""The LightningModule of mars-bands: the same for every network, head and normalisation."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from orrery.distributed import whole
from orrery.optimisation import Costs, configured
from orrery.systems.mars_bands.data import Batch
from orrery.systems.mars_bands.heads import Head
from orrery.systems.mars_bands.losses import Prediction, squared, weighted
from orrery.systems.mars_bands.params import VariantParams


class BandsTask(pl.LightningModule):
    """Learns bands from patches.

    Args:
        variant: network, head, normalisation, loss weights and optimiser.
    """

    monitor = "val/rmse"  #: root mean square error on the validation patches, in the units of the target

    def __init__(self, variant: VariantParams) -> None:
        super().__init__()
        self.save_hyperparameters(variant.model_dump())
        self.variant, self.head = variant, Head.of(variant)
        self.net = self.head.network()
        self.costs = Costs()

    def configure_callbacks(self) -> list[pl.Callback]:
        """What the training takes is noted for the tables."""
        return [self.costs]

    def configure_optimizers(self) -> Any:
        """As the variant's `optimiser` says."""
        return configured(self.parameters(), self.variant.optimiser)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, 1 or 2, H, W) inputs to (N, outputs, H, W)."""
        out: Tensor = self.net(inputs)
        return out

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The weighted loss of a batch; each term is logged by its name."""
        prediction = self._prediction(batch)
        total, terms = weighted(prediction, self.variant.losses)
        size = len(batch["inputs"])
        self.log("train/loss", total, prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=size)
        return total

    def validation_step(self, batch: Batch, index: int) -> None:
        """Error over valid pixels."""
        prediction = self._prediction(batch)
        self.log("val/mse", squared(prediction), batch_size=len(batch["inputs"]))

    def on_validation_epoch_end(self) -> None:
        """The root mean square is taken after the mean over batches."""
        mean = self.trainer.callback_metrics.get("val/mse")
        if mean is not None:
            self.log(self.monitor, mean.sqrt(), prog_bar=True)

    def predict_step(self, batch: Batch, index: int) -> Tensor:
        """Network output for a batch."""
        return self.forward(batch["inputs"])

    def _prediction(self, batch: Batch) -> Prediction:
        planes = self(batch["inputs"]).float()
        return self.head.prediction(*whole((planes, batch["target"], batch["valid"])))
