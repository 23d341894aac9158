"""Recurrent refinement of a disparity map: GRUs on three scales (Lipson et al. 2021, RAFT-Stereo; Xu et al. 2024, IGEV++)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SCALES = 3
# Of a disparity: geometry features of each range (N, C, H, W), and raw correlation (N, C', H, W).
LookUp = Callable[[Tensor], tuple[list[Tensor], Tensor]]


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU())


class ConvGru(nn.Module):
    """Convolutional gated recurrent unit, whose gates are shifted by the context."""

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(hidden + inputs, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)

    def forward(self, state: Tensor, context: Tensor, *inputs: Tensor) -> Tensor:
        """The next state (N, hidden, H, W); `context` is (N, 3 * hidden, H, W)."""
        for_update, for_reset, for_candidate = context.chunk(3, 1)
        update, reset = self.gates(torch.cat([state, *inputs], 1)).chunk(2, 1)
        update, reset = torch.sigmoid(update + for_update), torch.sigmoid(reset + for_reset)
        candidate = torch.tanh(self.candidate(torch.cat([reset * state, *inputs], 1)) + for_candidate)
        return torch.lerp(state, candidate, update)


class MotionEncoder(nn.Module):
    """What the volumes hold at the present disparity, and that disparity, as `hidden` features.

    Args:
        geometry: channels read from each range of geometry volumes.
        correlation: channels read from the raw correlation.
        hidden: of the result, the disparity itself included; 128 as published.
    """

    def __init__(self, geometry: Sequence[int], correlation: int, hidden: int) -> None:
        super().__init__()
        cost, shape = 3 * hidden // 4, hidden // 4
        self.ranges = nn.ModuleList(
            [nn.Sequential(_convolution(c, hidden, 1), _convolution(hidden, cost)) for c in geometry]
        )
        self.cost = nn.Sequential(_convolution(cost + correlation, hidden, 1), _convolution(hidden, cost))
        self.shape = nn.Sequential(_convolution(1, shape, 7), _convolution(shape, shape))
        self.joint = _convolution(cost + shape, hidden - 1)

    def forward(
        self, geometry: list[Tensor], weights: Tensor, correlation: Tensor, disparity: Tensor
    ) -> Tensor:
        """Map the readings, weighed by (N, ranges, H, W), to (N, hidden, H, W)."""
        parts = [
            encode(values) * weight
            for encode, values, weight in zip(
                self.ranges, geometry, weights.chunk(len(geometry), 1), strict=True
            )
        ]
        cost = self.cost(torch.cat([torch.stack(parts).sum(0), correlation], 1))
        joint = self.joint(torch.cat([cost, self.shape(disparity)], 1))
        return torch.cat([joint, disparity], 1)


class Refinement(nn.Module):
    """One step of the recurrence: states from coarse to fine, then a change of disparity.

    Args:
        geometry: channels read from each range of geometry volumes.
        correlation: channels read from the raw correlation.
        hidden: channels of each state; 128 as published.
    """

    def __init__(self, geometry: Sequence[int], correlation: int, hidden: int) -> None:
        super().__init__()
        self.motion = MotionEncoder(geometry, correlation, hidden)
        self.units = nn.ModuleList([ConvGru(hidden, inputs * hidden) for inputs in (2, 2, 1)])
        self.change = nn.Sequential(_convolution(hidden, 2 * hidden), nn.Conv2d(2 * hidden, 1, 3, padding=1))
        self.for_upsampling = _convolution(hidden, hidden // 2)

    def forward(
        self, states: list[Tensor], context: Sequence[Tensor], motion: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Next states, fine to coarse, and the change of disparity (N, 1, H, W)."""
        fine, middle, coarse = states
        coarse = self.units[2](coarse, context[2], _halved(middle))
        middle = self.units[1](middle, context[1], _halved(fine), _doubled(coarse))
        fine = self.units[0](fine, context[0], motion, _doubled(middle))
        return [fine, middle, coarse], self.change(fine)

    def steps(
        self,
        disparity: Tensor,
        states: list[Tensor],
        context: Sequence[Tensor],
        look_up: LookUp,
        weights: Tensor,
        iterations: int,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Disparity after each iteration, and features for its up-sampling (N, hidden / 2, H, W).

        Gradients do not pass from one iteration's disparity to the next.

        Args:
            disparity: the start, (N, 1, H, W), in bins.
            states: (N, hidden, H, W), and at 1/2 and 1/4 of that.
            context: shifts of the gates on the same scales.
            look_up: reads the volumes at a disparity.
            weights: of the ranges, (N, ranges, H, W).
            iterations: how many.
        """
        for _ in range(iterations):
            disparity = disparity.detach()
            geometry, correlation = look_up(disparity)
            states, change = self(states, context, self.motion(geometry, weights, correlation, disparity))
            disparity = disparity + change
            yield disparity, self.for_upsampling(states[0])


def _halved(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, 2, 1)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
