"""IGEV++ (Xu et al. 2025, arXiv 2409.00638) in its published form: three ranges of disparity, refined by recurrent units.

Disparities are 0 or more to the right: so the published network is, and so Iwashita et al. (2025) ran it. Here rows are the
epipolar direction: images are turned before and the residual after. Features come from MobileNetV2 without its ImageNet weights.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.systems.kaguya_disparity.nets.igev_parts import (
    Context,
    FeatureGate,
    Hourglass,
    Refinement,
    conv2d,
    conv3d,
    group_correlation,
    looked_up,
    mean_disparity,
)
from orrery.systems.kaguya_disparity.nets.params import IgevParams

GROUPS = 8
RANGES = (
    (1, 4),
    (2, 2),
    (4, 1),
)  # step of a hypothesis, px of a quarter; share of the range: a quarter, a half, all
RADIUS = 4
INITIAL_WEIGHTS = (1.0, 0.5, 0.2)
DECAY = 0.9
PUBLISHED_ITERATIONS = 15


class Features(nn.Module):
    """Matching features at a quarter of the resolution and the pyramid that gates the volumes."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        backbone: Any = timm.create_model("mobilenetv2_100", pretrained=False, features_only=True)
        self.backbone = backbone
        _, quarter, eighth, sixteenth, last = backbone.feature_info.channels()
        stem = _scaled(48, factor)
        self.first_half = nn.Sequential(conv2d(3, 32, stride=2), conv2d(32, 32))
        self.quarter = nn.Sequential(conv2d(32, stem, stride=2), conv2d(stem, stem))
        self.up = nn.ModuleList(
            [_Joined(last, sixteenth), _Joined(2 * sixteenth, eighth), _Joined(2 * eighth, quarter)]
        )
        self.smooth = conv2d(2 * quarter, 2 * quarter)
        self.widths = (2 * quarter + stem, 2 * eighth, 2 * sixteenth, last)
        self.descriptor = nn.Sequential(conv2d(self.widths[0], 96), nn.Conv2d(96, 96, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Map (N, 3, H, W) to descriptors (N, 96, H/4, W/4), the pyramid from 1/4 to 1/32, and features at 1/2."""
        _, quarter, eighth, sixteenth, last = self.backbone(image)
        deep16 = self.up[0](last, sixteenth)
        deep8 = self.up[1](deep16, eighth)
        deep4 = self.smooth(self.up[2](deep8, quarter))
        half = self.first_half(image)
        first = torch.cat([deep4, self.quarter(half)], 1)
        return self.descriptor(first), [first, deep8, deep16, last], half


class _Joined(nn.Module):
    """Up-sample and join with a finer level."""

    def __init__(self, deep: int, fine: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep, fine, 4, stride=2, padding=1)
        self.join = conv2d(2 * fine, 2 * fine)

    def forward(self, deep: Tensor, fine: Tensor) -> Tensor:
        """Map (N, deep, H, W) and (N, fine, 2H, 2W) to (N, 2 fine, 2H, 2W)."""
        out: Tensor = self.join(torch.cat([functional.leaky_relu(self.up(deep)), fine], 1))
        return out


class IgevStereo(nn.Module):
    """Two images to the disparities of every iteration.

    Args:
        max_disparity_px: of the widest range; a multiple of 128.
        iterations: of the recurrent refinement.
        factor: of the widths that are not the backbone's, for small machines.
    """

    def __init__(self, max_disparity_px: int = 768, iterations: int = 22, factor: float = 1.0) -> None:
        super().__init__()
        self.hypotheses, self.iterations = max_disparity_px // 4, iterations
        self.features = Features(factor)
        widths = self.features.widths
        self.merge = nn.ModuleList(
            [
                nn.Identity() if step == 1 else nn.Conv3d(GROUPS, GROUPS, (step, 1, 1), (step, 1, 1))
                for step, _ in RANGES
            ]
        )
        self.stem = nn.ModuleList([conv3d(GROUPS, GROUPS) for _ in RANGES])
        self.gate = nn.ModuleList([FeatureGate(GROUPS, widths[0]) for _ in RANGES])
        self.hourglass = nn.ModuleList([Hourglass(GROUPS, widths[1:]) for _ in RANGES])
        self.classify = nn.Conv3d(GROUPS, 1, 3, padding=1, bias=False)
        self.select = nn.Sequential(
            conv2d(96 + len(RANGES), 64), nn.Conv2d(64, len(RANGES), 3, padding=1), nn.Sigmoid()
        )
        hidden = _scaled(128, factor)
        self.context = Context(hidden)
        window = 2 * RADIUS + 1
        self.geometry = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(window * GROUPS * (2 if step == 1 else 1), hidden, 1), nn.ReLU(),
                    nn.Conv2d(hidden, 96, 3, padding=1),
                )
                for step, _ in RANGES
            ]
        )  # fmt: skip
        self.refinement = Refinement(hidden, 96 + 2 * window)

    def forward(self, left: Tensor, right: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map two (N, 3, H, W) images, H and W multiples of 32, to disparities of each iteration and of each range.

        All are (N, 1, H, W) px: what lies at column x of the left image lies at x - d of the right one.
        """
        here, pyramid, half = self.features(left)
        there, _, _ = self.features(right)
        volume = group_correlation(here, there, self.hypotheses, GROUPS)
        plain = group_correlation(here, there, self.hypotheses, 1)
        volumes, initial = [], []
        for number, (step, share) in enumerate(RANGES):
            part = self.stem[number](self.merge[number](volume[:, :, : self.hypotheses // share]))
            part = self.hourglass[number](self.gate[number](part, pyramid[0]), pyramid[1:])
            volumes.append(part)
            initial.append(mean_disparity(self.classify(part)[:, 0], step))
        weights = self.select(torch.cat([here, *initial], 1)).chunk(len(RANGES), 1)
        hidden, biases = self.context(left)
        disparity, found = initial[0], []
        for _ in range(self.iterations):
            disparity = disparity.detach()
            motion = self._looked_up(volumes, plain, weights, disparity)
            hidden, change, mask = self.refinement(hidden, biases, motion, disparity)
            disparity = disparity + change
            found.append(self.refinement.enlarged(4 * disparity, mask, half))
        full = [functional.interpolate(4 * each, scale_factor=4.0, mode="bilinear") for each in initial]
        return found, full

    def _looked_up(
        self, volumes: list[Tensor], plain: Tensor, weights: tuple[Tensor, ...], disparity: Tensor
    ) -> Tensor:
        """What the volumes say near a disparity, the three ranges weighted, and the plain correlation, at two scales."""
        total: Tensor | int = 0
        for number, (step, _) in enumerate(RANGES):
            seen = [looked_up(volumes[number], disparity / step, RADIUS)]
            if step == 1:
                seen.append(looked_up(functional.avg_pool3d(volumes[0], (2, 1, 1)), disparity / 2, RADIUS))
            total = total + weights[number] * self.geometry[number](torch.cat(seen, 1))
        raw = [
            looked_up(plain, disparity, RADIUS),
            looked_up(functional.avg_pool3d(plain, (2, 1, 1)), disparity / 2, RADIUS),
        ]
        return torch.cat([total, *raw], 1)  # type: ignore[list-item]


class IgevResidual(nn.Module):
    """The published network on a rectified pair: left and right planes to a residual along rows, px.

    Args:
        options: of the network.
    """

    def __init__(self, options: IgevParams) -> None:
        super().__init__()
        self.stereo = IgevStereo(options.max_disparity_px, options.iterations, options.width_factor)

    def forward(self, planes: Tensor) -> Tensor:
        """Map (N, 2, H, W) to (N, 1, H, W) px, the last iterate."""
        return self._found(planes)[0][-1]

    def loss(self, planes: Tensor, target: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
        """The published loss, in px: absolute errors of the iterates, later ones more, and smooth ones of each range.

        Args:
            planes: (N, 2, H, W).
            target: (N, 1, H, W) px.
            valid: (N, 1, H, W).
            scale: not used: that errors are a hundredth of what the loss was made for is the point of this variant.
        """
        found, initial = self._found(planes)
        count = valid.sum().clamp(min=1)
        decay = DECAY ** (PUBLISHED_ITERATIONS / max(len(found) - 1, 1))
        total = torch.zeros((), device=planes.device)
        for number, each in enumerate(found):
            total = total + decay ** (len(found) - 1 - number) * ((each - target).abs() * valid).sum() / count
        for weight, each in zip(INITIAL_WEIGHTS, initial, strict=True):
            total = (
                total
                + weight * (functional.smooth_l1_loss(each, target, reduction="none") * valid).sum() / count
            )
        return total

    def _found(self, planes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Rows turned to columns, and back."""
        left, right = (plane.transpose(-1, -2).expand(-1, 3, -1, -1) for plane in planes.chunk(2, 1))
        found, initial = self.stereo(left, right)
        return [-each.transpose(-1, -2) for each in found], [-each.transpose(-1, -2) for each in initial]


def _scaled(width: int, factor: float) -> int:
    return max(8, round(width * factor / 8) * 8)
