"""The U-Net of orrery-dtm: a residual elevation and its uncertainty from physical channels.

It works at half the image resolution inside (pixel unshuffle / shuffle), which makes it four times cheaper than a
full-resolution U-Net of the same widths, and predicts two planes: elevation and log sigma.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.nets.blocks import ResidualBlock, conv_norm_relu


class HalfResolutionUNet(nn.Module):
    """U-Net over `channels` input planes.

    Args:
        channels: input planes.
        widths: feature widths from 1/2 resolution downwards; each further level halves the resolution.
    """

    def __init__(self, channels: int, widths: Sequence[int] = (32, 48, 96, 128, 160)) -> None:
        super().__init__()
        self.stem = conv_norm_relu(channels * 4, widths[0])
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            [ResidualBlock(widths[0], widths[0]), *(ResidualBlock(a, b, 2) for a, b in pairs)]
        )
        self.up = nn.ModuleList([conv_norm_relu(a + b, a) for a, b in reversed(pairs)])
        self.head = nn.Sequential(
            conv_norm_relu(widths[0], widths[0]), nn.Conv2d(widths[0], 2 * 4, 3, padding=1)
        )
        self._start_at_the_base()

    def _start_at_the_base(self) -> None:
        """Begin close to "no correction": small last weights, so that the base solution is the starting point."""
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.data.mul_(0.1)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, 2, H, W): elevation correction in px, log of sigma in px.

        H and W must be multiples of 2 ** len(widths).
        """
        x = self.stem(functional.pixel_unshuffle(x, 2))
        skips: list[Tensor] = []
        for level in self.down:
            x = level(x)
            skips.append(x)
        for level, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = level(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        return functional.pixel_shuffle(self.head(x), 2)
