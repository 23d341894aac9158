"""A U-Net that works at half the image resolution inside (pixel unshuffle / shuffle).

That makes it four times cheaper than a full-resolution U-Net of the same widths, at full output resolution. It is
the network of orrery-dtm (elevation correction and log sigma) and the demo network of mars-bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.nets.blocks import ResidualBlock, conv_norm_relu


class HalfResolutionUNet(nn.Module):
    """U-Net from `inputs` to `outputs` planes.

    Args:
        inputs: input planes.
        outputs: output planes.
        widths: feature widths from 1/2 resolution downwards; each further level halves the resolution.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int] = (32, 48, 96, 128, 160)) -> None:
        super().__init__()
        self.stem = conv_norm_relu(inputs * 4, widths[0])
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            [ResidualBlock(widths[0], widths[0]), *(ResidualBlock(a, b, 2) for a, b in pairs)]
        )
        self.up = nn.ModuleList([conv_norm_relu(a + b, a) for a, b in reversed(pairs)])
        self.head = nn.Sequential(
            conv_norm_relu(widths[0], widths[0]), nn.Conv2d(widths[0], outputs * 4, 3, padding=1)
        )
        self._start_near_zero()

    def _start_near_zero(self) -> None:
        """Small last weights, so that training begins at "no correction", at the mean or at no preference."""
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.data.mul_(0.1)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W).

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
