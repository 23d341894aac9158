"""IGEV++ in its published form (Xu et al. 2024, Iterative Multi-range Geometry Encoding Volumes), the paper's reference 17.

It looks for disparities from 0 px on, along rows of the image, in bins of 4 px: made for scenes of hundreds of pixels,
and the paper's baseline that finds next to nothing of a residual of .07 px (r = .166). `igev_subpixel` is the fair one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from orrery.systems.kaguya_disparity.nets.igev_blocks import (
    NEIGHBOURS,
    Rise,
    block,
    convex_upsample,
    scaled,
)
from orrery.systems.kaguya_disparity.nets.igev_encoders import ContextEncoder, MobileFeatures
from orrery.systems.kaguya_disparity.nets.igev_update import LookUp, Refinement
from orrery.systems.kaguya_disparity.nets.igev_volume import (
    GROUPS,
    READ,
    Hourglass,
    column_pairs,
    column_volume,
    halved,
    look_up,
    soft_argmin,
)

RANGES = (1, 2, 4)  # bins that small, medium and large range put in one
BINS_PX = 4  # volumes lie at a quarter of the resolution


def turned(image: Tensor) -> Tensor:
    """(N, C, H, W) turned by 90 degrees clockwise.

    A shift along the track, left row y like right row y + d, becomes the published network's: left column x like right
    column x - d. Turn its output back with `turned_back`.
    """
    return torch.rot90(image, -1, (2, 3))


def turned_back(image: Tensor) -> Tensor:
    """The inverse of `turned`."""
    return torch.rot90(image, 1, (2, 3))


class UpsamplingLogits(nn.Module):
    """Logits of `convex_upsample` at full resolution, of features at 1/4 and of the left stem at 1/2."""

    def __init__(self, features: int, stem: int) -> None:
        super().__init__()
        self.rise, self.last = Rise(features, stem), nn.ConvTranspose2d(2 * stem, NEIGHBOURS, 4, 2, 1)

    def forward(self, features: Tensor, stem: Tensor) -> Tensor:
        """Map (N, features, H / 4, W / 4) and (N, stem, H / 2, W / 2) to (N, 9, H, W)."""
        out: Tensor = self.last(self.rise(features, stem))
        return out


class IgevStereo(nn.Module):
    """Two images of 8-bit brightness to a disparity >= 0 in px; 14.5 M parameters at full width.

    Args:
        hypotheses: of the largest range at a quarter of the resolution, a multiple of 32; the largest disparity is four times
            that. 192 as published: 768 px.
        width: of all layers but the volumes'; one of timm's MobileNetV2 (0.35, 0.5, 0.75, 1.0).
        training_iterations: of the recurrence, in training.
        iterations: of the recurrence, in evaluation.
    """

    def __init__(
        self,
        hypotheses: int = 192,
        width: float = 1.0,
        training_iterations: int = 22,
        iterations: int = 32,
    ) -> None:
        super().__init__()
        self.hypotheses = hypotheses
        self.training_iterations, self.iterations = training_iterations, iterations
        hidden, stem, quarter = scaled(128, width), scaled(32, width), scaled(48, width)
        self.features = MobileFeatures(width)
        self.stem = nn.Sequential(block(3, stem, 3, 2), block(stem, stem))
        self.quarter_stem = nn.Sequential(block(stem, quarter, 3, 2), block(quarter, quarter))
        channels = [self.features.channels[0] + quarter, *self.features.channels[1:]]
        described = scaled(96, width)
        self.describe = nn.Sequential(block(channels[0], described), nn.Conv2d(described, described, 1))
        self.pools = nn.ModuleList(
            [nn.Conv3d(GROUPS, GROUPS, (n, 1, 1), (n, 1, 1), bias=False) for n in RANGES[1:]]
        )
        self.hourglasses = nn.ModuleList([Hourglass(channels) for _ in RANGES])
        self.classifier = nn.Conv3d(GROUPS, 1, 3, padding=1, bias=False)
        selector = scaled(64, width)
        self.of_initials = nn.Sequential(block(len(RANGES), selector, 1), block(selector, selector))
        self.selection = nn.Sequential(
            block(channels[0] + selector, hidden, 1),
            block(hidden, hidden),
            nn.Conv2d(hidden, len(RANGES), 3, padding=1, bias=False),
        )
        self.context = ContextEncoder([scaled(c, width) for c in (64, 96, 128)], hidden)
        geometry = [2 * GROUPS * READ, GROUPS * READ, GROUPS * READ]
        self.refinement = Refinement(geometry, 2 * READ, hidden)
        self.logits = UpsamplingLogits(hidden // 2, stem)
        initial = scaled(64, width)
        self.for_initials = nn.Sequential(block(channels[0], initial), block(initial, initial))
        self.initial_logits = UpsamplingLogits(initial, stem)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Disparity (N, 1, H, W) in px after the last iteration of evaluation.

        Args:
            left: (N, 1, H, W), brightness 0 .. 255; H and W must be multiples of 32, at least 64.
            right: the same; its column x - disparity looks like column x of `left`.
        """
        run = self._run(left, right, self.iterations)
        *_, (disparity, features) = run.steps
        return convex_upsample(BINS_PX * disparity, self.logits(features, run.stem))

    def iterates(self, left: Tensor, right: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """For training: disparity after each iteration, and the first ones of small, medium and large range.

        All (N, 1, H, W) in px; arguments as of `forward`.
        """
        run = self._run(left, right, self.training_iterations)
        outputs = [convex_upsample(BINS_PX * d, self.logits(f, run.stem)) for d, f in run.steps]
        logits = self.initial_logits(self.for_initials(run.finest), run.stem)
        return outputs, [convex_upsample(BINS_PX * initial, logits) for initial in run.initials]

    def _run(self, left: Tensor, right: Tensor, iterations: int) -> _Run:
        left, right = (_three_planes(image) for image in (left, right))
        features, stem, described = self._see(left)
        _, _, described_right = self._see(right)
        volumes = self._volumes(described, described_right, features)
        initials = self._initials(volumes)
        shapes = self.of_initials(torch.cat(initials, 1))
        weights = torch.sigmoid(self.selection(torch.cat([features[0], shapes], 1)))
        states, shifts = self.context(left)
        reader = _reader(volumes, column_pairs(described, described_right))
        steps = self.refinement.steps(initials[0], states, shifts, reader, weights, iterations)
        return _Run(features[0], stem, initials, steps)

    def _see(self, image: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Features at 1/4 to 1/32, the stem at 1/2, and descriptors at 1/4."""
        features: list[Tensor] = self.features(image)
        stem = self.stem(image)
        features[0] = torch.cat([features[0], self.quarter_stem(stem)], 1)
        return features, stem, self.describe(features[0])

    def _volumes(self, left: Tensor, right: Tensor, features: list[Tensor]) -> list[Tensor]:
        """Geometry volumes (N, 8, hypotheses / 4, H / 4, W / 4) of the three ranges."""
        every = column_volume(left, right, self.hypotheses)
        bins = self.hypotheses // RANGES[-1]
        pooled = [pool(every[:, :, : n * bins]) for pool, n in zip(self.pools, RANGES[1:], strict=True)]
        raw = [every[:, :, :bins], *pooled]
        return [hourglass(v, features) for hourglass, v in zip(self.hourglasses, raw, strict=True)]

    def _initials(self, volumes: list[Tensor]) -> list[Tensor]:
        """Disparities (N, 1, H / 4, W / 4) of the three ranges, in bins of the smallest."""
        values = torch.arange(self.hypotheses // RANGES[-1], device=volumes[0].device, dtype=torch.float32)
        return [
            soft_argmin(self.classifier(volume)[:, 0], n * values)
            for volume, n in zip(volumes, RANGES, strict=True)
        ]


class _Run(NamedTuple):
    """What an application of the network comes to, but for the up-sampling."""

    finest: Tensor
    stem: Tensor
    initials: list[Tensor]
    steps: Iterator[tuple[Tensor, Tensor]]


def _three_planes(image: Tensor) -> Tensor:
    """Brightness 0 .. 255 as a colour image in -1 .. 1."""
    return (image / 127.5 - 1).expand(-1, 3, -1, -1)


def _reader(volumes: list[Tensor], pairs: Tensor) -> LookUp:
    """Reads the small range and the pairs of columns at two resolutions of their bins, the other ranges at one."""
    columns = torch.arange(pairs.shape[-1], device=pairs.device, dtype=pairs.dtype)
    small, pairs_halved = halved(volumes[0]), halved(pairs)

    def read(disparity: Tensor) -> tuple[list[Tensor], Tensor]:
        fine = torch.cat([look_up(volumes[0], disparity), look_up(small, disparity / 2)], 1)
        wider = [look_up(v, disparity / n) for v, n in zip(volumes[1:], RANGES[1:], strict=True)]
        column = columns - disparity
        raw = torch.cat([look_up(pairs, column), look_up(pairs_halved, column / 2)], 1)
        return [fine, *wider], raw

    return read
