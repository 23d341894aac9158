"""What IGEV++ sees in the images: matching features of both, and the context of the left one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import timm
from torch import Tensor, nn

from orrery.nets.blocks import ResidualBlock, conv_norm_relu
from orrery.systems.kaguya_disparity.nets.igev_blocks import Rise, block


class MobileFeatures(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32: MobileNetV2 without its last stage, and a way back up.

    The published network begins with weights from ImageNet and keeps their normalisation fixed; this one begins with random
    weights, so its normalisation learns.

    Args:
        width: of the MobileNetV2; timm has 0.35, 0.5, 0.75, 1.0.

    Attributes:
        channels: of the four results.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        network: Any = timm.create_model(f"mobilenetv2_{round(100 * width):03d}", pretrained=False)
        stages = network.blocks
        first = nn.Sequential(network.conv_stem, network.bn1, *stages[:2])
        self.stages = nn.ModuleList([first, stages[2], stages[3:5], stages[5]])
        ends = [int(stages[i][-1].conv_pwl.out_channels) for i in (1, 2, 4, 5)]
        self.rises = nn.ModuleList(
            [Rise(ends[3], ends[2]), Rise(2 * ends[2], ends[1]), Rise(2 * ends[1], ends[0])]
        )
        self.last = block(2 * ends[0], 2 * ends[0])
        self.channels = [2 * ends[0], 2 * ends[1], 2 * ends[2], ends[3]]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) to four maps; H and W must be multiples of 32."""
        scales = []
        for stage in self.stages:
            x = stage(x)
            scales.append(x)
        out = [x]
        for rise, finer in zip(self.rises, scales[-2::-1], strict=True):
            x = rise(x, finer)
            out.append(x)
        return [self.last(out[3]), out[2], out[1], out[0]]


class ContextHead(nn.Module):
    """First state of a recurrent unit, and the shifts of its gates, on one scale."""

    def __init__(self, inputs: int, hidden: int, deep: bool) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            last = nn.Conv2d(inputs, hidden, 3, padding=1)
            return nn.Sequential(ResidualBlock(inputs, inputs), last) if deep else nn.Sequential(last)

        self.state = branch().append(nn.Tanh())
        self.shifts = branch().append(nn.ReLU()).append(nn.Conv2d(hidden, 3 * hidden, 3, padding=1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, inputs, H, W) to (N, hidden, H, W) and (N, 3 * hidden, H, W)."""
        return self.state(x), self.shifts(x)


class ContextEncoder(nn.Module):
    """Residual network (of RAFT-Stereo) with heads at 1/4, 1/8 and 1/16.

    Its batch normalisation stays as it begins, as published: a scale and a shift that learn, without statistics.

    Args:
        widths: at full resolution, 1/2, and 1/4 and below; 64, 96, 128 as published.
        hidden: channels of the recurrent states.
    """

    def __init__(self, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        first, second, third = widths
        self.trunk = nn.Sequential(
            conv_norm_relu(3, first, 7),
            _stage(first, first, 1),
            _stage(first, second, 2),
            _stage(second, third, 2),
        )
        self.down = nn.ModuleList([_stage(third, third, 2), _stage(third, third, 2)])
        self.heads = nn.ModuleList([ContextHead(third, hidden, deep) for deep in (True, True, False)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (N, 3, H, W) to states and to shifts of their gates, fine to coarse."""
        return context_of(self.trunk(x), self.down, self.heads)

    def train(self, mode: bool = True) -> Self:
        """Switch all but the batch normalisation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def context_of(x: Tensor, down: nn.ModuleList, heads: nn.ModuleList) -> tuple[list[Tensor], list[Tensor]]:
    """States and shifts of gates from the finest features, each further scale by one of `down`."""
    scales = [x]
    for stage in down:
        scales.append(stage(scales[-1]))
    pairs = [head(scale) for head, scale in zip(heads, scales, strict=True)]
    return [state for state, _ in pairs], [shifts for _, shifts in pairs]


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(inputs, outputs, stride), ResidualBlock(outputs, outputs))
