"""The LightningModules of kaguya-disparity: regression, diffusion, and stereo networks on the rectified pair."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from orrery.distributed import own, processes, whole
from orrery.optimisation import configured
from orrery.seeds import derive
from orrery.systems.kaguya_disparity import diffusion, losses
from orrery.systems.kaguya_disparity.data import Batch
from orrery.systems.kaguya_disparity.nets import build
from orrery.systems.kaguya_disparity.params import DiffusionParams, VariantParams

VALIDATION_STREAM = "validation"


def make_task(variant: VariantParams, seed: int = 0) -> ResidualTask:
    """The task of a variant.

    Args:
        variant: network, method, losses and optimiser.
        seed: of mirroring and noise, which depend on it and the step alone.
    """
    match variant.method.name:
        case "regression":
            return RegressionTask(variant, seed)
        case "diffusion":
            return DiffusionTask(variant, seed)
        case "stereo":
            return StereoTask(variant, seed)


class ResidualTask(pl.LightningModule):
    """What all ways of learning the residual share.

    Args:
        variant: network, method, losses and optimiser.
        seed: of mirroring and noise.
    """

    monitor = "val/loss"  #: decisive loss on the validation patches

    def __init__(self, variant: VariantParams, seed: int) -> None:
        super().__init__()
        self.save_hyperparameters(variant.model_dump())
        self.variant, self.seed = variant, seed
        self.net: nn.Module = build(variant)

    def configure_optimizers(self) -> Any:
        """As the variant's `optimiser` says."""
        return configured(self.parameters(), self.variant.optimiser)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, planes, H, W) to the network's output."""
        out: Tensor = self.net(inputs)
        return out

    @abstractmethod
    def terms(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and its terms by name."""

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of a batch, which is mirrored every other time."""
        generator = self._generator("train", self.global_step)
        if self.variant.mirror and torch.rand((), generator=generator) < 0.5:
            batch = {name: values.flip(-1) if values.dim() == 4 else values for name, values in batch.items()}
        loss, terms = self.terms(batch, generator)
        size = len(batch["inputs"])
        self.log("train/loss", loss, prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=size)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """The same loss, with noise that is the same each time."""
        loss, _ = self.terms(batch, self._generator(VALIDATION_STREAM, index))
        self.log(self.monitor, loss, prog_bar=True, batch_size=len(batch["inputs"]))

    def predict_step(self, batch: Batch, index: int) -> Tensor:
        """Network output for a batch."""
        return self.forward(batch["inputs"])

    def _generator(self, *names: str | int) -> torch.Generator:
        """Draws that a resumed training repeats."""
        return torch.Generator().manual_seed(derive(self.seed, "kaguya-disparity", *names) % 2**63)


class RegressionTask(ResidualTask):
    """One call: mean, and log of 1-sigma."""

    monitor = (
        "val/rmse"  #: root mean square of what is left on the validation patches, in expected deviations
    )

    def validation_step(self, batch: Batch, index: int) -> None:
        """What the mean leaves, whatever the weights of the losses."""
        mean = self(batch["inputs"]).float()[:, :1]
        rmse = losses.squared(mean, batch["target"], batch["valid"]).sqrt()
        self.log(self.monitor, rmse, prog_bar=True, batch_size=len(batch["inputs"]))

    def terms(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted losses."""
        output = self(batch["inputs"]).float()
        return losses.total(*whole((output, batch["target"], batch["valid"])), self.variant.losses)


class DiffusionTask(ResidualTask):
    """The network learns to find the noise, or the velocity, in a noised residual."""

    def __init__(self, variant: VariantParams, seed: int) -> None:
        super().__init__(variant, seed)
        assert isinstance(variant.method, DiffusionParams)
        self.levels = diffusion.levels_of(variant.method, variant.method.steps)

    def terms(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of what the network predicts, over valid pixels; where none is known the residual is 0."""
        method, target = self.variant.method, batch["target"]
        assert isinstance(method, DiffusionParams)
        rows = len(target) * processes()
        gamma = own(diffusion.draw_gamma(self.levels, rows, generator)).to(target)
        noise = own(torch.randn((rows, *target.shape[1:]), generator=generator)).to(target)
        noised = diffusion.noised(target, gamma, noise)
        output = self(diffusion.with_noise(batch["inputs"], noised, gamma)).float()
        wanted = diffusion.target_of(target, gamma, noise, method.parameterisation)
        loss = losses.squared(*whole((output, wanted, batch["valid"])))
        return loss, {"squared": loss}


class StereoTask(ResidualTask):
    """A stereo network is trained on all its iterates, in px for the published one."""

    def terms(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The sequence loss."""
        loss = self.net.loss(
            batch["inputs"], batch["target"] * batch["scale"], batch["valid"], batch["scale"]
        )  # type: ignore[operator]
        return loss, {"sequence": loss}
