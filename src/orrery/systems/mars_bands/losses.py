"""Loss terms by name, and their weighted sum. All means run over valid pixels, or over all as the paper has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from orrery.systems.mars_bands.params import LossName

LOG_SIGMA_RANGE = (-5.0, 4.0)  # keeps a stray exponent from swamping the first steps


@dataclass(frozen=True)
class Prediction:
    """What the terms compare, in normalised units.

    Attributes:
        mean: (N, B, H, W) predicted values: the regression, or the expectation over bins.
        truth: (N, B, H, W).
        valid: (N, 1, H, W) boolean.
        log_sigma: (N, B, H, W), where a regression predicts its spread.
        logits: (N, B, K, H, W), of a classification.
        classes: (N, B, H, W) integer bin of the truth, of a classification.
        class_weights: (K,), of a classification.
        diluted: divide by all pixels instead of by the valid ones.
    """

    mean: Tensor
    truth: Tensor
    valid: Tensor
    log_sigma: Tensor | None = None
    logits: Tensor | None = None
    classes: Tensor | None = None
    class_weights: Tensor | None = None
    diluted: bool = False

    def average(self, values: Tensor) -> Tensor:
        """Mean of (N, B, H, W) values; zero where nothing is valid."""
        kept = torch.where(self.valid, values, torch.zeros_like(values))
        if self.diluted:
            return kept.mean()
        return kept.sum() / (self.valid.sum() * values.shape[1]).clamp(min=1)


def squared(p: Prediction) -> Tensor:
    """Mean squared error: the paper's regression."""
    return p.average((p.mean - p.truth) ** 2)


def absolute(p: Prediction) -> Tensor:
    """Mean absolute error; of a classification, of the expectation over bins (the paper's arg-max has no gradient)."""
    return p.average((p.mean - p.truth).abs())


def gradient(p: Prediction) -> Tensor:
    """Mean absolute error of the first differences across columns and down rows."""
    error = torch.where(p.valid, p.mean - p.truth, torch.zeros_like(p.mean))
    right = functional.pad((error[..., :, 1:] - error[..., :, :-1]).abs(), (0, 1))
    down = functional.pad((error[..., 1:, :] - error[..., :-1, :]).abs(), (0, 0, 0, 1))
    return p.average(right + down)


def uncertainty(p: Prediction) -> Tensor:
    """Negative log likelihood of a Gaussian of the predicted spread; the error is detached.

    Raises:
        ValueError: the network predicts no spread.
    """
    if p.log_sigma is None:
        raise ValueError("the loss 'uncertainty' needs a regression with a log sigma")
    log_sigma = p.log_sigma.clamp(*LOG_SIGMA_RANGE)
    error = (p.mean - p.truth).detach()
    return p.average(log_sigma + 0.5 * error**2 * torch.exp(-2 * log_sigma))


def cross_entropy(p: Prediction) -> Tensor:
    """Cross-entropy of the bins, weighted by class.

    Raises:
        ValueError: the network predicts no bins.
    """
    if p.logits is None or p.classes is None:
        raise ValueError("the loss 'cross_entropy' needs a classification")
    log_probability = functional.log_softmax(p.logits, 2)
    picked = -log_probability.gather(2, p.classes[:, :, None])[:, :, 0]
    return p.average(picked if p.class_weights is None else picked * p.class_weights[p.classes])


TERMS: dict[LossName, Callable[[Prediction], Tensor]] = {
    "squared": squared,
    "absolute": absolute,
    "gradient": gradient,
    "uncertainty": uncertainty,
    "cross_entropy": cross_entropy,
}


def weighted(
    prediction: Prediction, weights: Mapping[LossName, float]
) -> tuple[Tensor, dict[LossName, Tensor]]:
    """The weighted sum of the terms named in `weights`, and each term by itself, unweighted."""
    terms = {name: TERMS[name](prediction) for name, weight in weights.items() if weight > 0}
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum(), terms
