"""From a network's planes to values: regression with or without a spread, or a distribution over bins."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from orrery.systems.mars_bands.bins import (
    Bins,
    as_logits,
    class_indices,
    class_weights,
    confidence,
    decode,
    equidistant,
    sid,
    sigma,
)
from orrery.systems.mars_bands.losses import LOG_SIGMA_RANGE, Prediction
from orrery.systems.mars_bands.nets import InputSize, build
from orrery.systems.mars_bands.params import ClassificationParams, VariantParams


@dataclass(frozen=True)
class Head:
    """How the planes of a variant's network are read.

    Attributes:
        variant: names the head.
        bins: of a classification.
    """

    variant: VariantParams
    bins: Bins | None

    @classmethod
    def of(cls, variant: VariantParams) -> Head:
        """The head that a variant names."""
        head = variant.head
        if not isinstance(head, ClassificationParams):
            return cls(variant, None)
        return cls(variant, (equidistant if head.spacing == "equidistant" else sid)(head.n_edges, head.limit))

    @property
    def has_sigma(self) -> bool:
        """Whether a 1-sigma is predicted: always by a classification."""
        return self.bins is not None or self.variant.losses.get("uncertainty", 0) > 0

    @property
    def outputs(self) -> int:
        """Planes that the network must have."""
        targets = self.variant.targets
        if self.bins is not None:
            return targets * self.bins.classes
        return targets * (2 if self.has_sigma else 1)

    def network(self) -> nn.Module:
        """The variant's network, from an image, and heights where it has them, to the planes wanted."""
        return build(self.variant.network, 2 if self.variant.dem else 1, self.outputs)

    def prediction(self, planes: Tensor, target: Tensor, valid: Tensor) -> Prediction:
        """What the losses compare, from (N, outputs, H, W) planes."""
        diluted, targets = self.variant.masking == "diluted", self.variant.targets
        if self.bins is None:
            log_sigma = planes[:, targets:] if self.has_sigma else None
            return Prediction(planes[:, :targets], target, valid, log_sigma, diluted=diluted)
        head = self.variant.head
        assert isinstance(head, ClassificationParams)
        logits = as_logits(planes, self.bins)
        weights = None if head.weights == "none" else class_weights(self.bins, head.weights).to(planes)
        classes = class_indices(target, self.bins)
        mean = decode(logits, self.bins, "expectation")
        return Prediction(mean, target, valid, None, logits, classes, weights, diluted)

    def values(self, planes: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(N, B, H, W) values, their 1-sigma and their confidence in [0, 1], in normalised units."""
        targets = self.variant.targets
        if self.bins is None:
            if not self.has_sigma:
                return planes[:, :targets], None, None
            return planes[:, :targets], planes[:, targets:].clamp(*LOG_SIGMA_RANGE).exp(), None
        head = self.variant.head
        assert isinstance(head, ClassificationParams)
        logits = as_logits(planes, self.bins)
        return decode(logits, self.bins, head.decode), sigma(logits, self.bins), confidence(logits)


def padded(inputs: Tensor, size: InputSize) -> Tensor:
    """(N, C, H, W) continued to the right and below to what a network takes: by reflection where there is enough to mirror."""
    height, width = (
        max(size.smallest, -(-side // size.multiple) * size.multiple) for side in inputs.shape[-2:]
    )
    down, right = height - inputs.shape[-2], width - inputs.shape[-1]
    mirrored = down < inputs.shape[-2] and right < inputs.shape[-1]
    return functional.pad(inputs, (0, right, 0, down), mode="reflect" if mirrored else "replicate")
