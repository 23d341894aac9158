"""A trained network together with its recipe: a compressed pair in, the residual of its disparity in px out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn import functional

from orrery.files import reading
from orrery.seeds import derive
from orrery.systems.base import RECIPE, RETRAIN
from orrery.systems.kaguya_disparity import diffusion
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.features import FEATURES, REACH_PX, features
from orrery.systems.kaguya_disparity.losses import bounded
from orrery.systems.kaguya_disparity.nets import multiple
from orrery.systems.kaguya_disparity.params import DiffusionParams, StereoParams, VariantParams
from orrery.systems.kaguya_disparity.scaling import Scaling

Array = NDArray[np.float32]
SIGHT_PX = 32  # how far a network looks, about


@dataclass(frozen=True)
class Residual:
    """What compression did to a disparity.

    Attributes:
        mean_px: (H, W), to be added to the disparity of the compressed pair.
        sigma_px: (H, W) 1-sigma of it; None where the model has none.
        samples_px: (K, H, W) samples, of a diffusion model.
    """

    mean_px: Array
    sigma_px: Array | None = None
    samples_px: Array | None = None


@dataclass(frozen=True)
class DisparityModel:
    """Predicts residuals for images of any size.

    Attributes:
        name: the variant.
        network: (N, planes, H, W) to its output.
        variant: what it was trained as.
        scaling: of z-scores.
        sigma_scale: calibrates the 1-sigma on validation patches.
        test_patches: scene -> corners of the patches that the split `patch` keeps for testing; empty for the split `pair`.
        seed: of samples.
    """

    name: str
    network: Callable[[Tensor], Tensor]
    variant: VariantParams
    scaling: Scaling
    sigma_scale: float = 1.0
    test_patches: Mapping[str, list[list[int]]] | None = None
    seed: int = 0

    @property
    def context_px(self) -> int:
        """Border wanted round a tile."""
        return REACH_PX + SIGHT_PX

    @property
    def calls(self) -> int:
        """Of the network, for one residual with its spread."""
        method = self.variant.method
        return method.calls * method.samples if isinstance(method, DiffusionParams) else 1

    def recipe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data; `from_recipe` reads it back."""
        return {
            "name": self.name,
            "variant": self.variant.model_dump(mode="json"),
            "scaling": self.scaling.to_dict(),
            "sigma_scale": self.sigma_scale,
            "test_patches": dict(self.test_patches or {}),
        }

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any], network: Callable[[Tensor], Tensor]) -> DisparityModel:
        """Join a recipe and a loaded network.

        Raises:
            OrreryError: the recipe is damaged.
        """
        with reading(RECIPE, "the recipe of a model of kaguya-disparity", RETRAIN):
            return cls(
                str(recipe["name"]),
                network,
                VariantParams.model_validate(recipe["variant"]),
                TypeAdapter(Scaling).validate_python(recipe["scaling"]),
                float(recipe["sigma_scale"]),
                TypeAdapter(dict[str, list[list[int]]]).validate_python(recipe["test_patches"]),
            )

    def with_sampling(self, **options: Any) -> DisparityModel:
        """The same model with another sampler, number of calls or of samples."""
        variant = self.variant.model_copy(update={"method": self.variant.method.model_copy(update=options)})
        return replace(self, variant=variant)

    def residual(self, left: Array, right: Array, disparity_px: Array, condition: Condition) -> Residual:
        """Residual of an image or a tile.

        Args:
            left: compressed, counts, (H, W), finite.
            right: compressed and rectified by the disparity, counts, (H, W), finite.
            disparity_px: of the compressed pair, (H, W), finite.
            condition: how it was compressed.
        """
        scale_px = self.scaling.of(condition)
        seen = features(left, right, disparity_px, condition.mean_count, scale_px)
        return self.from_features(torch.from_numpy(seen), condition)

    def from_features(self, seen: Tensor, condition: Condition) -> Residual:
        """As `residual`, from (5, H, W) features."""
        height, width = seen.shape[-2:]
        planes = padded(inputs(seen, condition, self.variant)[None], multiple(self.variant.network))
        scale_px = self.scaling.of(condition)
        with torch.inference_mode():
            match self.variant.method:
                case DiffusionParams() as method:
                    samples = (self._samples(planes, method)[:, 0] + self.scaling.mean) * scale_px
                    return self._of_samples(samples[:, :height, :width])
                case StereoParams():  # its output is in px
                    out = self.network(planes).float()[0, :, :height, :width] / scale_px
                case _:
                    out = self.network(planes).float()[0, :, :height, :width]
        mean_px = ((out[0] + self.scaling.mean) * scale_px).numpy()
        if not self.variant.has_sigma:
            return Residual(mean_px)
        return Residual(mean_px, (torch.exp(bounded(out[1])) * (scale_px * self.sigma_scale)).numpy())

    def _of_samples(self, samples_px: Tensor) -> Residual:
        """Mean and spread of (K, H, W) samples."""
        spread = samples_px.std(0) * self.sigma_scale if len(samples_px) > 1 else None
        return Residual(
            samples_px.mean(0).numpy(), None if spread is None else spread.numpy(), samples_px.numpy()
        )

    def _samples(self, planes: Tensor, method: DiffusionParams) -> Tensor:
        """(K, 1, H, W) samples in z-scores; the same for the same input."""
        generator = torch.Generator().manual_seed(derive(self.seed, "kaguya-disparity", "samples") % 2**63)
        many = planes.expand(method.samples, -1, -1, -1)
        return diffusion.sample(
            lambda noised, gamma: self.network(diffusion.with_noise(many, noised, gamma)).float(),
            many[:, :1],
            diffusion.sampling_of(method),
            generator,
        )


def inputs(features: Tensor, condition: Condition, variant: VariantParams) -> Tensor:
    """(C, H, W): the features that a variant takes, then planes that tell the condition where it wants them.

    Args:
        features: (5, H, W), in the order of `FEATURES`.
        condition: of the compression.
        variant: which of them.
    """
    chosen = features[[FEATURES.index(name) for name in variant.inputs]]
    if not variant.conditioned:
        return chosen
    told = torch.tensor(condition.planes(), dtype=chosen.dtype)[:, None, None]
    return torch.cat([chosen, told.expand(-1, *chosen.shape[1:])])


def padded(planes: Tensor, to_multiple: int) -> Tensor:
    """Planes repeated at their lower and right edge up to whole multiples, (N, C, H', W')."""
    missing = [-length % to_multiple for length in planes.shape[-2:]]
    return functional.pad(planes, (0, missing[1], 0, missing[0]), mode="replicate")
