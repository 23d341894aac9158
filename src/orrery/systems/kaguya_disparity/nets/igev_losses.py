"""The loss of recurrent stereo networks: every iterate counts, later ones more (Teed and Deng 2020; Xu et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

INITIAL_WEIGHTS = (1.0, 0.5, 0.2)  # small, medium and large range
REFERENCE_ITERATIONS = 15  # over which the decay is `gamma` an iteration


def sequence_loss(
    outputs: Sequence[Tensor],
    initials: Sequence[Tensor],
    target: Tensor,
    valid: Tensor,
    gamma: float = 0.9,
    smooth: bool = True,
) -> Tensor:
    """Weighted sum of mean absolute errors over valid pixels; 0 where none is.

    The last of n outputs has the weight 1, the first gamma ** 15 for any n. The published loss also leaves out targets of
    192, 384 and 700 px and more; residuals never come near them.

    Args:
        outputs: of the iterations, (N, 1, H, W) each.
        initials: before them, at most three, weighted 1, 0.5 and 0.2.
        target: (N, 1, H, W), in the same unit.
        valid: (N, 1, H, W) boolean.
        gamma: decay of the weights.
        smooth: square the initials' errors below 1, as published; that leaves errors of hundredths of a pixel
            without a gradient, so the sub-pixel network has False.
    """
    target = torch.where(valid, target, torch.zeros_like(target))  # NaN would get into the gradient

    def mean(errors: Tensor) -> Tensor:
        return torch.where(valid, errors, torch.zeros_like(errors)).sum() / valid.sum().clamp(min=1)

    initial_error = functional.smooth_l1_loss if smooth else functional.l1_loss
    terms = [
        weight * mean(initial_error(initial, target, reduction="none"))
        for weight, initial in zip(INITIAL_WEIGHTS, initials, strict=False)
    ]
    last = len(outputs) - 1
    decay = gamma ** (REFERENCE_ITERATIONS / max(last, 1))
    terms += [decay ** (last - i) * mean((output - target).abs()) for i, output in enumerate(outputs)]
    return torch.stack(terms).sum()
