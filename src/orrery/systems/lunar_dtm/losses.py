"""Loss terms by name, each a mean over valid pixels (paper, Eqs. 6 to 8), and their weighted sum (Eq. 5).

All take heights of shape (N, 1, H, W) in one unit for heights and pixels (px for orrery-dtm, the paper's normalised
units for DLunarDTMNet) and a boolean `valid` of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from orrery.systems.lunar_dtm.params import LossName, Operator

LOG_SIGMA_RANGE = (-6.0, 4.0)  # keeps a stray exponent from swamping the first steps


class Surfaces(NamedTuple):
    """What the terms compare: whole surfaces, plus the predicted log sigma, which only `uncertainty` needs."""

    predicted: Tensor
    truth: Tensor
    valid: Tensor
    log_sigma: Tensor | None = None


def gradients(heights: Tensor, operator: Operator) -> tuple[Tensor, Tensor]:
    """Derivatives across columns and down rows, (N, 1, H - 2, W - 2).

    "difference" is half the central difference; "sobel" the unnormalised 3x3 Sobel kernel of the paper's training
    template, eight times as large, which changes what a normal means.
    """
    right = heights[..., :, 2:] - heights[..., :, :-2]
    down = heights[..., 2:, :] - heights[..., :-2, :]
    if operator == "difference":
        return right[..., 1:-1, :] / 2, down[..., :, 1:-1] / 2
    return (
        right[..., :-2, :] + 2 * right[..., 1:-1, :] + right[..., 2:, :],
        down[..., :, :-2] + 2 * down[..., :, 1:-1] + down[..., :, 2:],
    )


def elevation(s: Surfaces, operator: Operator) -> Tensor:
    """Mean absolute height error, Eq. 6."""
    return _mean((s.predicted - s.truth).abs(), s.valid)


def gradient(s: Surfaces, operator: Operator) -> Tensor:
    """Mean absolute gradient error, summed over both directions, Eq. 7."""
    right, down = gradients(s.predicted - s.truth, operator)
    return _mean(right.abs() + down.abs(), _interior(s.valid))


def normal(s: Surfaces, operator: Operator) -> Tensor:
    """One minus the cosine between the surface normals, Eq. 8."""
    a = _normal_vector(s.predicted, operator)
    b = _normal_vector(s.truth, operator)
    return _mean(1 - functional.cosine_similarity(a, b, dim=1).unsqueeze(1), _interior(s.valid))


def uncertainty(s: Surfaces, operator: Operator) -> Tensor:
    """Negative log likelihood of a Laplace distribution of scale exp(log_sigma) at the present errors.

    The error is detached: the term teaches the spread and leaves the heights to the other terms.

    Raises:
        ValueError: the network predicts no log sigma.
    """
    if s.log_sigma is None:
        raise ValueError("the loss 'uncertainty' needs a network with a log sigma plane")
    log_sigma = s.log_sigma.clamp(*LOG_SIGMA_RANGE)
    error = (s.predicted - s.truth).abs().detach()
    return _mean(log_sigma + error * torch.exp(-log_sigma), s.valid)


TERMS: dict[LossName, Callable[[Surfaces, Operator], Tensor]] = {
    "elevation": elevation,
    "gradient": gradient,
    "normal": normal,
    "uncertainty": uncertainty,
}


def weighted(
    surfaces: Surfaces, weights: Mapping[LossName, float], operator: Operator
) -> tuple[Tensor, dict[LossName, Tensor]]:
    """The weighted sum of the terms named in `weights`, and each term by itself, unweighted."""
    terms = {name: TERMS[name](surfaces, operator) for name, weight in weights.items() if weight > 0}
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return total, terms


def _normal_vector(heights: Tensor, operator: Operator) -> Tensor:
    """(N, 3, H - 2, W - 2): minus the gradients, and one."""
    right, down = gradients(heights, operator)
    return torch.cat([-right, -down, torch.ones_like(right)], 1)


def _interior(valid: Tensor) -> Tensor:
    """Pixels whose 3x3 neighbourhood is valid, (N, 1, H - 2, W - 2)."""
    return -functional.max_pool2d(-valid.float(), 3, stride=1) > 0.5


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over valid pixels; zero where there are none (an all-shadow tile must not make the loss NaN)."""
    return torch.where(valid, values, torch.zeros_like(values)).sum() / valid.sum().clamp(min=1)
