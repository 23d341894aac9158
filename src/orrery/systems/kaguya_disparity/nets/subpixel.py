"""IGEV++'s idea made fair to residuals: signed, in eighths of a pixel, at half the resolution, along rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from orrery.systems.kaguya_disparity.nets.igev_parts import (
    RecurrentUnit,
    conv2d,
    conv3d,
    looked_up,
    mean_disparity,
)
from orrery.systems.kaguya_disparity.nets.params import SubpixelIgevParams

REACH_PX = 2.0  # of the image; hypotheses lie from one to the other side of 0
STEP_PX = 0.125
HYPOTHESES = int(2 * REACH_PX / STEP_PX) + 1
SCALE = 2  # features have half the image's resolution
GROUPS = 8
RADIUS = 4
DECAY = 0.9


class SubpixelIgev(nn.Module):
    """Left and rectified right plane to the residual between them, px along rows.

    Args:
        options: width, and number of recurrent steps.
    """

    def __init__(self, options: SubpixelIgevParams) -> None:
        super().__init__()
        width, self.iterations = options.width, options.iterations
        self.features = nn.Sequential(
            conv2d(SCALE**2, width), conv2d(width, width), nn.Conv2d(width, width, 3, padding=1)
        )
        self.context = nn.Sequential(
            conv2d(2 * SCALE**2, width), conv2d(width, width, stride=2), conv2d(width, width), nn.Upsample(scale_factor=2),
            nn.Conv2d(width, 4 * width, 3, padding=1),
        )  # fmt: skip
        self.regularise = nn.Sequential(conv3d(GROUPS, GROUPS), conv3d(GROUPS, GROUPS))
        self.classify = nn.Conv3d(GROUPS, 1, 3, padding=1, bias=False)
        window = GROUPS * (2 * RADIUS + 1)
        self.motion = nn.Sequential(
            nn.Conv2d(window + 1, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.unit = RecurrentUnit(width, width)
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1)
        )
        self.fine = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 9 * SCALE**2, 1)
        )

    def forward(self, planes: Tensor) -> Tensor:
        """Map (N, 2, H, W), H and W multiples of 8, to (N, 1, H, W) px, the last iterate."""
        return self.iterates(planes)[-1]

    def loss(self, planes: Tensor, target: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
        """Absolute errors of all iterates over the expected deviation of the residual, later ones more.

        Args:
            planes: (N, 2, H, W).
            target: (N, 1, H, W) px.
            valid: (N, 1, H, W).
            scale: (N, 1, 1, 1) expected deviation, px.
        """
        found = self.iterates(planes)
        count = valid.sum().clamp(min=1)
        total = torch.zeros((), device=planes.device)
        for number, each in enumerate(found):
            weight = DECAY ** (len(found) - 1 - number)
            total = total + weight * (((each - target) / scale).abs() * valid).sum() / count
        return total

    def iterates(self, planes: Tensor) -> list[Tensor]:
        """The first estimate and that of each recurrent step, (N, 1, H, W) px each."""
        folded = [functional.pixel_unshuffle(plane, SCALE) for plane in planes.chunk(2, 1)]
        here, there = (self.features(each) for each in folded)
        volume = self.regularise(signed_correlation(here, there))
        disparity = SCALE * (mean_disparity(self.classify(volume)[:, 0], STEP_PX / SCALE) - REACH_PX / SCALE)
        context = self.context(torch.cat(folded, 1))
        state, bias = context[:, : here.shape[1]], context[:, here.shape[1] :]
        state = state.tanh()
        found = [self._enlarged(disparity, state)]
        for _ in range(self.iterations):
            place = (disparity.detach() + REACH_PX) / STEP_PX
            motion = self.motion(torch.cat([looked_up(volume, place, RADIUS), disparity.detach()], 1))
            state = self.unit(state, bias, motion)
            disparity = disparity.detach() + self.change(state) * STEP_PX
            found.append(self._enlarged(disparity, state))
        return found

    def _enlarged(self, disparity: Tensor, state: Tensor) -> Tensor:
        """To all pixels: each a weighted mean of nine."""
        n, _, height, width = disparity.shape
        weights = self.fine(state).view(n, 9, SCALE**2, height, width).softmax(1)
        around = functional.unfold(disparity, 3, padding=1).view(n, 9, 1, height, width)
        return functional.pixel_shuffle((weights * around).sum(1), SCALE)


def signed_correlation(left: Tensor, right: Tensor) -> Tensor:
    """(N, groups, 33, h, w) mean products of the left features with the right ones at shifts of -2 to 2 px along rows.

    Args:
        left: (N, C, h, w) at half the image's resolution.
        right: the same; between rows it is interpolated.
    """
    n, width, height, columns = left.shape
    reach = int(REACH_PX / SCALE)
    padded = functional.pad(right, (0, 0, reach, reach + 1), mode="replicate")
    here = left.view(n, GROUPS, width // GROUPS, height, columns)
    volume = []
    for number in range(HYPOTHESES):
        shift = number * STEP_PX / SCALE
        whole = int(shift)
        part = shift - whole
        there = (
            padded[:, :, whole : whole + height] * (1 - part)
            + padded[:, :, whole + 1 : whole + 1 + height] * part
        )
        volume.append((here * there.view_as(here)).mean(2))
    return torch.stack(volume, 2)
