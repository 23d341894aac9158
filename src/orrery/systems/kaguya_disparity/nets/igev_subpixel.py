"""IGEV for residuals: signed, in bins of an eighth of a pixel, along the track, of images in floating point.

The published network cannot serve residuals of hundredths of a pixel: its disparities begin at 0, its bins are 4 px wide and
it wants 8-bit images. Kept of it are group-wise correlation, soft-argmin, the recurrence on three scales and convex
up-sampling; new are the range, +-2 px in 33 bins, the direction and half resolution inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.nets.blocks import ResidualBlock, conv_norm_relu
from orrery.systems.kaguya_disparity.nets.igev_blocks import NEIGHBOURS, block, convex_upsample
from orrery.systems.kaguya_disparity.nets.igev_encoders import ContextHead, context_of
from orrery.systems.kaguya_disparity.nets.igev_update import SCALES, LookUp, Refinement
from orrery.systems.kaguya_disparity.nets.igev_volume import (
    GROUPS,
    READ,
    correlate,
    halved,
    look_up,
    soft_argmin,
)

REACH_PX = 2
BINS_A_PX = 8
BINS = 2 * REACH_PX * BINS_A_PX + 1
SMALLEST_SQUARE = 1e-8  # of the product of two norms, so that features of zero have no infinite slope


def cubic_taps() -> Tensor:
    """Weights (33, 5) of whole rows at half resolution, -2 .. 2, for the 33 hypotheses (Keys 1981, a = -1/2)."""
    reach = REACH_PX // 2 + 1
    offsets = torch.linspace(-REACH_PX / 2, REACH_PX / 2, BINS)
    distance = (offsets[:, None] - torch.arange(-reach, reach + 1)).abs()
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def row_volume(left: Tensor, right: Tensor, taps: Tensor) -> Tensor:
    """Cosine between left row y and right row y + d at the 33 hypotheses, in each group of channels: (N, 8, 33, H, W).

    Rows between two are interpolated by `taps`, and beyond the border the outermost is repeated. The cosine, unlike the plain
    correlation, does not drift to where an interpolated row is strong. Products of interpolated rows are interpolated from
    those of whole rows, as they are linear in each: far fewer than 33 maps of all channels.
    """
    height, reach = left.shape[2], taps.shape[1] // 2
    padded = functional.pad(right, (0, 0, reach, reach), mode="replicate")
    rows = [padded[:, :, start : start + height] for start in range(2 * reach + 1)]
    cross = torch.stack([correlate(left, row) for row in rows], 2)
    own = torch.stack([correlate(one, other) for one, other in product(rows, rows)], 2)
    pairs = (taps[:, :, None] * taps[:, None, :]).flatten(1)
    with torch.autocast(left.device.type, enabled=False):
        interpolated = torch.einsum("ngthw,dt->ngdhw", cross, taps)
        right_squared = torch.einsum("ngthw,dt->ngdhw", own, pairs)
    squared = right_squared * correlate(left, left)[:, :, None]
    return interpolated * squared.clamp(min=SMALLEST_SQUARE).rsqrt()


class SubpixelIgev(nn.Module):
    """Two z-scored images to the residual disparity in px: left row y looks like right row y + disparity.

    Args:
        width: matching and context features, a multiple of 8.
        hidden: channels of the recurrent states, a multiple of 4.
        iterations: of the recurrence.
    """

    taps: Tensor

    def __init__(self, width: int = 64, hidden: int = 64, iterations: int = 8) -> None:
        super().__init__()
        self.iterations = iterations
        self.register_buffer("taps", cubic_taps(), persistent=False)
        self.features = nn.Sequential(
            conv_norm_relu(4, width), ResidualBlock(width, width), ResidualBlock(width, width)
        )
        self.describe = nn.Conv2d(width, width, 1)
        self.regularise = nn.Sequential(*(block(GROUPS, GROUPS, axes=3) for _ in range(2)))
        self.classifier = nn.Conv3d(GROUPS, 1, 3, padding=1, bias=False)
        self.context = nn.Sequential(conv_norm_relu(8, width), ResidualBlock(width, width))
        self.down = nn.ModuleList([ResidualBlock(width, width, 2) for _ in range(SCALES - 1)])
        self.heads = nn.ModuleList([ContextHead(width, hidden, deep=False) for _ in range(SCALES)])
        self.refinement = Refinement([2 * GROUPS * READ], 2 * READ, hidden)
        self.logits = nn.ConvTranspose2d(hidden // 2, NEIGHBOURS, 4, 2, 1)
        self.initial_logits = nn.ConvTranspose2d(width, NEIGHBOURS, 4, 2, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Disparity after the last iteration, of z-scored (N, 1, H, W); H and W must be multiples of 8."""
        *_, (disparity, features) = self._run(left, right).steps
        return _in_px(disparity, self.logits(features))

    def iterates(self, left: Tensor, right: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """For training: disparity after each iteration, and the first one alone in a list; all (N, 1, H, W) in px."""
        run = self._run(left, right)
        outputs = [_in_px(disparity, self.logits(features)) for disparity, features in run.steps]
        return outputs, [_in_px(run.initial, self.initial_logits(run.features))]

    def _run(self, left: Tensor, right: Tensor) -> _Run:
        left, right = (functional.pixel_unshuffle(image, 2) for image in (left, right))
        features = self.features(left)
        raw = row_volume(self.describe(features), self.describe(self.features(right)), self.taps)
        volume = self.regularise(raw)
        bins = torch.arange(BINS, device=raw.device, dtype=raw.dtype) - BINS // 2
        initial = soft_argmin(self.classifier(volume)[:, 0], bins)
        states, shifts = context_of(self.context(torch.cat([left, right], 1)), self.down, self.heads)
        reader = _reader(volume, raw.mean(1, keepdim=True))
        weights = torch.ones_like(initial)
        steps = self.refinement.steps(initial, states, shifts, reader, weights, self.iterations)
        return _Run(features, initial, steps)


class _Run(NamedTuple):
    """What an application of the network comes to, but for the up-sampling; disparities in bins."""

    features: Tensor
    initial: Tensor
    steps: Iterator[tuple[Tensor, Tensor]]


def _in_px(disparity: Tensor, logits: Tensor) -> Tensor:
    return convex_upsample(disparity / BINS_A_PX, logits)


def _reader(volume: Tensor, raw: Tensor) -> LookUp:
    """Reads the volume and the raw correlation at two resolutions of their bins."""
    coarse, raw_coarse = halved(volume), halved(raw)

    def read(disparity: Tensor) -> tuple[list[Tensor], Tensor]:
        position = disparity + BINS // 2
        half = (position - 0.5) / 2  # a bin of the coarse one lies between two
        geometry = torch.cat([look_up(volume, position), look_up(coarse, half)], 1)
        return [geometry], torch.cat([look_up(raw, position), look_up(raw_coarse, half)], 1)

    return read
