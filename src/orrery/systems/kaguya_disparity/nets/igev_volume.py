"""Cost volumes over disparity hypotheses: group-wise correlation, its regularisation, and how it is read.

Group-wise correlation: Guo et al. 2019; geometry encoding volume and hourglass: Xu et al. 2023, 2024 (IGEV, IGEV++).
Where the rest computes in mixed precision, correlations, expectations and readings stay in 32 bits: cosines of neighbouring
hypotheses differ by a thousandth, which bfloat16 does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.systems.kaguya_disparity.nets.igev_blocks import FeatureGate, block, doubling

GROUPS = 8
RADIUS = 4  # bins to either side of a look-up
READ = 2 * RADIUS + 1  # bins that a look-up reads


def correlate(left: Tensor, right: Tensor) -> Tensor:
    """Mean product of two (N, C, H, W) maps in each of eight groups of channels: (N, 8, H, W)."""
    n, channels, height, width = left.shape
    return (left.float() * right.float()).reshape(n, GROUPS, channels // GROUPS, height, width).mean(2)


def column_volume(left: Tensor, right: Tensor, hypotheses: int) -> Tensor:
    """Correlation of left column x with right column x - d, d = 0 .. hypotheses - 1: (N, 8, hypotheses, H, W).

    Zero where that column lies outside.
    """
    width = left.shape[3]
    padded = functional.pad(right, (hypotheses - 1, 0))
    starts = range(hypotheses - 1, -1, -1)
    return torch.stack([correlate(left, padded[..., start : start + width]) for start in starts], 2)


def column_pairs(left: Tensor, right: Tensor) -> Tensor:
    """Correlation of every left column with every right one of its row, (N, 1, W of right, H, W of left)."""
    with torch.autocast(left.device.type, enabled=False):
        products = torch.einsum("nchw,nchv->nvhw", left.float(), right.float())
    return products[:, None] / math.sqrt(left.shape[1])


def soft_argmin(logits: Tensor, values: Tensor) -> Tensor:
    """Expectation of `values` (D,) under the softmax of (N, D, H, W): (N, 1, H, W)."""
    return (torch.softmax(logits.float(), 1) * values[:, None, None]).sum(1, keepdim=True)


def halved(volume: Tensor) -> Tensor:
    """Means of two bins each: (N, C, D, H, W) to (N, C, D // 2, H, W)."""
    return functional.avg_pool3d(volume, (2, 1, 1))


def look_up(volume: Tensor, position: Tensor) -> Tensor:
    """The bins within `RADIUS` of a position, interpolated linearly; zero beyond the ends.

    Args:
        volume: (N, C, D, H, W).
        position: (N, 1, H, W), in bins.

    Returns:
        (N, C * READ, H, W), the bins of one channel side by side.
    """
    volume = volume.to(position.dtype)
    channels, bins = volume.shape[1:3]
    position = position.clamp(-2.0 * RADIUS, bins + 2.0 * RADIUS)
    first = position.floor()
    steps = torch.arange(-RADIUS, RADIUS + 2, device=volume.device)[:, None, None]
    index = first.long() + steps  # (N, 10, H, W)
    inside = ((index >= 0) & (index < bins))[:, None]
    index = index.clamp(0, bins - 1)[:, None].expand(-1, channels, -1, -1, -1)
    near = torch.where(inside, volume.gather(2, index), torch.zeros_like(volume[:, :1, :1]))
    share = (position - first)[:, None]
    return torch.lerp(near[:, :, :-1], near[:, :, 1:], share).flatten(1, 2)


class Hourglass(nn.Module):
    """Regularises a cost volume on four scales, gated by image features on each (IGEV++).

    Args:
        features: channels of the image features at 1, 1/2, 1/4 and 1/8 of the volume's resolution.
        channels: of the volume.
    """

    def __init__(self, features: Sequence[int], channels: int = GROUPS) -> None:
        super().__init__()
        widths = [channels * factor for factor in (1, 2, 4, 8)]
        self.first = block(channels, channels, axes=3)
        self.down = nn.ModuleList(
            [nn.Sequential(block(a, b, 3, 2, axes=3), block(b, b, axes=3)) for a, b in pairwise(widths)]
        )
        self.gates = nn.ModuleList([FeatureGate(f, w) for f, w in zip(features, widths, strict=True)])
        self.up = nn.ModuleList([doubling(widths[3], widths[2], 3), doubling(widths[2], widths[1], 3)])
        self.mix = nn.ModuleList(
            [
                nn.Sequential(block(2 * w, w, 1, axes=3), block(w, w, axes=3), block(w, w, axes=3))
                for w in (widths[2], widths[1])
            ]
        )
        self.up_gates = nn.ModuleList(
            [FeatureGate(features[2], widths[2]), FeatureGate(features[1], widths[1])]
        )
        self.last = nn.ConvTranspose3d(widths[1], channels, 4, 2, 1, bias=False)

    def forward(self, volume: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map (N, channels, D, H, W) to the same shape; D, H and W must be multiples of 8."""
        x = self.gates[0](self.first(volume), features[0])
        scales = []
        for down, gate, feature in zip(self.down, self.gates[1:], features[1:], strict=True):
            x = gate(down(x), feature)
            scales.append(x)
        steps = zip(self.up, self.mix, self.up_gates, scales[1::-1], features[2:0:-1], strict=True)
        for up, mix, gate, finer, feature in steps:
            x = gate(mix(torch.cat([up(x), finer], 1)), feature)
        out: Tensor = self.last(x)
        return out
