"""DLunarDTMNet (Chen et al. 2022) and the earlier network that it improves on, reconstructed.

The paper gives no widths; ours follow its templates (ResNet-50, up-projection of Laina et al. 2016): 82.9 M parameters at
full size. Two encoders: HIEB, a ResNet over the image, and CDEB, five plain blocks over the coarse DEM. The decoder
has four up-projections and one plain up-sampling, the last four fed by the HIEB as well (paper, section II-B1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from timm.models.resnet import BasicBlock, Bottleneck, make_blocks
from torch import Tensor, nn
from torch.nn import functional

from orrery.nets.blocks import conv_norm, conv_norm_relu


@dataclass(frozen=True)
class Widths:
    """Channel counts of one size of the network."""

    bottleneck: bool
    layers: tuple[int, int, int, int]
    stem: int
    stages: tuple[int, int, int, int]
    coarse: tuple[int, int, int, int, int]
    merge: int
    decoder: tuple[int, int, int, int, int]


SIZES: dict[str, Widths] = {
    "full": Widths(
        True, (3, 4, 6, 3), 64, (64, 128, 256, 512), (32, 64, 128, 256, 512), 1024, (512, 256, 128, 64, 64)
    ),
    "demo": Widths(False, (2, 2, 2, 2), 16, (16, 32, 64, 128), (8, 8, 16, 32, 64), 64, (64, 32, 24, 16, 16)),
}


# Where the output begins, in the units of Eq. 3: heights of unit spread above their minimum. The paper does not tell. Begun near zero the slope terms of
# the loss flatten the output before its level rises, and behind the ReLU what falls below zero has no gradient.
FIRST_HEIGHT = 2.5


class UpProjection(nn.Module):
    """Up-sampling by two, then a 5x5 - 3x3 branch and a 5x5 branch, summed (Laina et al. 2016).

    `upsampling` is "nearest" in DLunarDTMNet (its second modification) and "deconvolution" before it.
    """

    def __init__(self, inputs: int, outputs: int, upsampling: Literal["nearest", "deconvolution"]) -> None:
        super().__init__()
        nearest = upsampling == "nearest"
        self.upsample = (
            nn.Upsample(scale_factor=2.0) if nearest else nn.ConvTranspose2d(inputs, inputs, 2, stride=2)
        )
        self.long = nn.Sequential(conv_norm_relu(inputs, outputs, 5), conv_norm(outputs, outputs))
        self.short = conv_norm(inputs, outputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, 2 H, 2 W)."""
        x = self.upsample(x)
        return functional.relu(self.long(x) + self.short(x))


class DLunarDTMNet(nn.Module):
    """Image and normalised coarse DEM to a normalised DTM.

    Args:
        size: "full" (ResNet-50, 82.9 M parameters) or "demo" (the same plan, slim).
        stem_kernel: 3 in DLunarDTMNet (first modification), 7 in the earlier network.
        upsampling: "nearest" in DLunarDTMNet (second modification), "deconvolution" in the earlier network.
    """

    def __init__(
        self,
        size: Literal["demo", "full"] = "full",
        stem_kernel: Literal[3, 7] = 3,
        upsampling: Literal["nearest", "deconvolution"] = "nearest",
    ) -> None:
        super().__init__()
        widths = SIZES[size]
        block = Bottleneck if widths.bottleneck else BasicBlock
        self.conv1 = nn.Conv2d(1, widths.stem, stem_kernel, 2, stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths.stem)
        stages, _ = make_blocks((block,) * 4, widths.stages, widths.layers, widths.stem)
        self.stages = nn.ModuleList([stage for _, stage in stages])
        self.coarse = _coarse_encoder(widths.coarse)
        features = [widths.stem, *(width * block.expansion for width in widths.stages)]  # at 1/2, 1/4 .. 1/32
        self.merge = nn.Conv2d(features[-1] + widths.coarse[-1], widths.merge, 1)
        inputs = [widths.merge, *(a + b for a, b in zip(widths.decoder[:3], features[3:0:-1], strict=True))]
        self.up = nn.ModuleList(
            [UpProjection(a, b, upsampling) for a, b in zip(inputs, widths.decoder[:4], strict=True)]
        )
        self.last = nn.Sequential(
            nn.Upsample(scale_factor=2.0),
            conv_norm_relu(widths.decoder[3] + features[0], widths.decoder[4]),
            nn.Conv2d(widths.decoder[4], 1, 3, padding=1),
            nn.ReLU(),
        )
        nn.init.constant_(self.last[2].bias, FIRST_HEIGHT)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 2, H, W), image in [0, 1] and normalised coarse heights, to (N, 1, H, W) normalised heights >= 0.

        H and W must be multiples of 32.
        """
        image = functional.relu(self.bn1(self.conv1(x[:, :1])))
        skips = [image]
        image = functional.max_pool2d(image, 3, 2, 1)
        for stage in self.stages:
            image = stage(image)
            skips.append(image)
        y = self.merge(torch.cat([skips.pop(), self.coarse(x[:, 1:2])], 1))
        y = self.up[0](y)
        for up in self.up[1:]:
            y = up(torch.cat([y, skips.pop()], 1))
        out: Tensor = self.last(torch.cat([y, skips.pop()], 1))
        return out


def _coarse_encoder(widths: tuple[int, ...]) -> nn.Sequential:
    """CDEB: five blocks of 3x3 convolution, normalisation, ReLU and 2x2 max pooling, down to 1/32."""
    pairs = zip((1, *widths[:-1]), widths, strict=True)
    return nn.Sequential(*(nn.Sequential(conv_norm_relu(a, b), nn.MaxPool2d(2)) for a, b in pairs))
