"""The biomedical U-Net of Buda, Saha and Mazurowski (2019, Comput. Biol. Med. 109, 218), the paper's "U-Net (medical)".

Four levels of two 3x3 convolutions with batch normalisation and ReLU each, 32 features at full resolution and twice as
many a level further down, 2x2 max pooling, transposed 2x2 convolutions upwards, skips by concatenation: 7,762,531
parameters from one plane to three. Without the published sigmoid at the end.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.nets.blocks import conv_norm_relu

WIDTHS = (32, 64, 128, 256, 512)


class MedicalUNet(nn.Module):
    """U-Net from `inputs` to `outputs` planes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([_level(a, b) for a, b in pairwise((inputs, *WIDTHS))])
        upwards = list(pairwise(WIDTHS[::-1]))
        self.enlarge = nn.ModuleList([nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in upwards])
        self.up = nn.ModuleList([_level(2 * b, b) for _, b in upwards])
        self.head = nn.Conv2d(WIDTHS[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W); H and W must be multiples of 16."""
        x = self.down[0](x)
        skips = [x]
        for level in self.down[1:]:
            x = level(functional.max_pool2d(x, 2))
            skips.append(x)
        for enlarge, level, skip in zip(self.enlarge, self.up, skips[-2::-1], strict=True):
            x = level(torch.cat([enlarge(x), skip], 1))
        out: Tensor = self.head(x)
        return out


def _level(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_norm_relu(inputs, outputs), conv_norm_relu(outputs, outputs))
