"""Layers of both IGEV networks: instance-normalised convolutions, channel gates and convex up-sampling."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

NEIGHBOURS = 9  # coarse pixels that a fine one is mixed from


def scaled(channels: int, width: float) -> int:
    """`channels` times `width` as a multiple of eight, the number of correlation groups; at least eight."""
    return max(8, 8 * round(channels * width / 8))


def block(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, axes: Literal[2, 3] = 2
) -> nn.Sequential:
    """Convolution of an odd kernel (same size before the stride), instance normalisation and leaky ReLU."""
    convolution = nn.Conv3d if axes == 3 else nn.Conv2d
    norm = nn.InstanceNorm3d if axes == 3 else nn.InstanceNorm2d
    layer = convolution(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, norm(outputs), nn.LeakyReLU())


def doubling(inputs: int, outputs: int, axes: Literal[2, 3] = 2) -> nn.Sequential:
    """Transposed convolution that doubles every axis, instance normalisation and leaky ReLU."""
    convolution = nn.ConvTranspose3d if axes == 3 else nn.ConvTranspose2d
    norm = nn.InstanceNorm3d if axes == 3 else nn.InstanceNorm2d
    return nn.Sequential(convolution(inputs, outputs, 4, 2, 1, bias=False), norm(outputs), nn.LeakyReLU())


class Rise(nn.Module):
    """Doubles a map, joins it with a finer one of `skip` channels and mixes both; gives 2 * skip channels."""

    def __init__(self, inputs: int, skip: int) -> None:
        super().__init__()
        self.up, self.mix = doubling(inputs, skip), block(2 * skip, 2 * skip)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """Map (N, inputs, H, W) and (N, skip, 2 H, 2 W) to (N, 2 * skip, 2 H, 2 W)."""
        out: Tensor = self.mix(torch.cat([self.up(x), finer], 1))
        return out


class FeatureGate(nn.Module):
    """Weighs the channels of a cost volume by what the image shows at the place (IGEV's feature attention)."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(block(features, features // 2, 1), nn.Conv2d(features // 2, channels, 1))

    def forward(self, volume: Tensor, features: Tensor) -> Tensor:
        """Weigh (N, channels, D, H, W) by (N, features, H, W)."""
        return torch.sigmoid(self.gate(features))[:, :, None] * volume


def convex_upsample(coarse: Tensor, logits: Tensor) -> Tensor:
    """Each fine pixel as a weighted mean of the 3 x 3 coarse ones round it (Teed and Deng 2020, RAFT).

    Beyond the border the outermost pixels are repeated; the published code has zeros there, which pull to zero.

    Args:
        coarse: (N, 1, h, w) map.
        logits: (N, 9, H, W) of the weights, row by row of the neighbourhood; H / h and W / w the same integer.
    """
    height, width = coarse.shape[2:]
    padded = functional.pad(coarse, (1, 1, 1, 1), mode="replicate")
    views = [padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    factor = logits.shape[2] // height
    near = functional.interpolate(torch.cat(views, 1), scale_factor=float(factor), mode="nearest")
    return (torch.softmax(logits, 1) * near).sum(1, keepdim=True)
