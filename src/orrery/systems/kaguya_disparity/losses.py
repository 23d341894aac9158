"""Losses of kaguya-disparity, named; residuals are in their expected standard deviations, invalid pixels count for nothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from orrery.systems.kaguya_disparity.params import LossName

LOG_SIGMA_RANGE = (-4.0, 3.0)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over valid pixels; 0 without any."""
    return (values * valid).sum() / valid.sum().clamp(min=1)


def squared(mean: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean squared error; all (N, 1, H, W)."""
    return masked_mean((mean - target) ** 2, valid)


def absolute(mean: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error; all (N, 1, H, W)."""
    return masked_mean((mean - target).abs(), valid)


def weighted(mean: Tensor, log_sigma: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Squared error over the predicted standard deviation, which is held: quiet ground counts as much as noisy.

    (The beta-weighting of Seitzer et al. 2022, with the likelihood's weight to the power 1/2.)
    """
    return masked_mean((mean - target) ** 2 * torch.exp(-bounded(log_sigma).detach()), valid)


def uncertainty(mean: Tensor, log_sigma: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Negative log likelihood of a normal distribution, up to a constant; it teaches the 1-sigma alone: the mean is held."""
    log_sigma = bounded(log_sigma)
    return masked_mean(0.5 * (mean.detach() - target) ** 2 * torch.exp(-2 * log_sigma) + log_sigma, valid)


def bounded(log_sigma: Tensor) -> Tensor:
    """The logarithm of 1-sigma within the range that a float can square."""
    return log_sigma.clamp(*LOG_SIGMA_RANGE)


def total(
    output: Tensor, target: Tensor, valid: Tensor, weights: Mapping[LossName, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum and each term by name.

    Args:
        output: (N, 1 or 2, H, W): mean, and the logarithm of 1-sigma where there is one.
        target: (N, 1, H, W).
        valid: (N, 1, H, W), 1 or 0.
        weights: of the terms.
    """
    mean, log_sigma = output[:, :1], output[:, 1:]
    terms: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight > 0:
            match name:
                case "squared":
                    terms[name] = squared(mean, target, valid)
                case "absolute":
                    terms[name] = absolute(mean, target, valid)
                case "weighted":
                    terms[name] = weighted(mean, log_sigma, target, valid)
                case "uncertainty":
                    terms[name] = uncertainty(mean, log_sigma, target, valid)
                case "sequence":
                    raise ValueError("sequence: only a stereo network has one")
    combined = sum((weights[name] * term for name, term in terms.items()), target.new_zeros(()))  # type: ignore[index]
    return combined, terms
