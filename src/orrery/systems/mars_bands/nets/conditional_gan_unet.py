"""The U-Net generator of pix2pix (Isola et al. 2017, CVPR, section 6.1.1), the paper's "U-Net (CGAN)".

Eight 4x4 convolutions of stride 2 down to 1/256, eight transposed ones up, skips by concatenation: 54,411,907 parameters
from one plane to three. That is the count of the paper's Table 2; the colourisation network that it cites (Nazeri et
al. 2018) has another. Without the published tanh at the end; dropout acts in training only.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)
DROPOUT = 0.5
DROPOUT_LEVELS = 3  # of the decoder, deepest first
INITIAL_SPREAD = 0.02  # standard deviation of the first weights, as pix2pix is trained
SLOPE = 0.2  # of the leaky ReLUs of the encoder


class ConditionalGanUNet(nn.Module):
    """U-Net from `inputs` to `outputs` planes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first = nn.Conv2d(inputs, WIDTHS[0], 4, 2, 1, bias=False)
        inner = [_smaller(a, b) for a, b in pairwise(WIDTHS[:-1])]
        deepest = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Conv2d(*WIDTHS[-2:], 4, 2, 1, bias=False))
        self.down = nn.ModuleList([first, *inner, deepest])
        upwards = list(pairwise(WIDTHS[::-1]))
        self.up = nn.ModuleList(
            [_larger(a * (1 + (i > 0)), b, i < DROPOUT_LEVELS) for i, (a, b) in enumerate(upwards)]
        )
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * WIDTHS[0], outputs, 4, 2, 1))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W); H and W must be multiples of 256."""
        skips: list[Tensor] = []
        for level in self.down:
            x = level(x)
            skips.append(x)
        for level, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([skip, level(x)], 1)
        out: Tensor = self.head(x)
        return out


def _smaller(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(nn.LeakyReLU(SLOPE), convolution, nn.BatchNorm2d(outputs))


def _larger(inputs: int, outputs: int, dropout: bool) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    block = nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(outputs))
    return block.append(nn.Dropout(DROPOUT)) if dropout else block


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, INITIAL_SPREAD)
