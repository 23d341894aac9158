"""Parts of IGEV++: correlation volumes, hourglasses over them, and recurrent units that refine a disparity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv2d(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, instance normalisation, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.InstanceNorm2d(outputs),
        nn.LeakyReLU(),
    )


def conv3d(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """The same over a volume."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.InstanceNorm3d(outputs),
        nn.LeakyReLU(),
    )


def group_correlation(left: Tensor, right: Tensor, hypotheses: int, groups: int) -> Tensor:
    """(N, groups, hypotheses, H, W) mean products of the left features with the right ones d columns to the left; 0 beyond."""
    n, width, height, columns = left.shape
    here = left.view(n, groups, width // groups, height, columns)
    padded = functional.pad(right, (hypotheses - 1, 0)).view(n, groups, width // groups, height, -1)
    shifts = [padded[..., hypotheses - 1 - d : hypotheses - 1 - d + columns] for d in range(hypotheses)]
    return torch.stack([(here * there).mean(2) for there in shifts], 2)


def mean_disparity(scores: Tensor, step: float) -> Tensor:
    """(N, 1, H, W) expectation of a softmax over (N, D, H, W) scores of hypotheses `step` apart."""
    hypotheses = step * torch.arange(scores.shape[1], device=scores.device, dtype=scores.dtype)
    return (scores.softmax(1) * hypotheses[:, None, None]).sum(1, keepdim=True)


def looked_up(volume: Tensor, place: Tensor, radius: int) -> Tensor:
    """(N, groups * (2 radius + 1), H, W) values of a volume (N, groups, D, H, W) about fractional places (N, 1, H, W); 0 beyond."""
    depth = volume.shape[2]
    offsets = torch.arange(-radius, radius + 1, device=place.device, dtype=place.dtype)
    wanted = place + offsets[:, None, None]
    below = wanted.floor()
    part = wanted - below

    def taken(index: Tensor) -> Tensor:
        inside = ((index >= 0) & (index < depth)).to(volume.dtype)[:, None]
        places = index.clamp(0, depth - 1).long()[:, None].expand(-1, volume.shape[1], -1, -1, -1)
        return volume.gather(2, places) * inside

    found = taken(below) * (1 - part)[:, None] + taken(below + 1) * part[:, None]
    return found.flatten(1, 2)


class FeatureGate(nn.Module):
    """A volume's channels weighted by what the image shows at each place."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(conv2d(features, features // 2, 1), nn.Conv2d(features // 2, channels, 1))

    def forward(self, volume: Tensor, features: Tensor) -> Tensor:
        """Map (N, channels, D, H, W) and (N, features, H, W) to the volume's shape."""
        out: Tensor = torch.sigmoid(self.weigh(features))[:, :, None] * volume
        return out


class Hourglass(nn.Module):
    """Three levels down and up over a volume, gated by the image's pyramid.

    Args:
        channels: of the volume.
        features: of the image at 1/8, 1/16 and 1/32.
    """

    def __init__(self, channels: int, features: Sequence[int]) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 8 * channels]
        self.down = nn.ModuleList(
            [nn.Sequential(conv3d(a, b, stride=2), conv3d(b, b)) for a, b in pairwise(widths)]
        )
        self.gates = nn.ModuleList([FeatureGate(w, f) for w, f in zip(widths[1:], features, strict=True)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose3d(b, a, 4, stride=2, padding=1, bias=False) for a, b in pairwise(widths)]
        )
        self.join = nn.ModuleList(
            [nn.Sequential(conv3d(2 * w, w, 1), conv3d(w, w), conv3d(w, w)) for w in widths[1:-1]]
        )
        self.up_gates = nn.ModuleList(
            [FeatureGate(w, f) for w, f in zip(widths[1:-1], features[:-1], strict=True)]
        )

    def forward(self, volume: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map (N, channels, D, H, W) and features at 1/2, 1/4 and 1/8 of its resolution to the same shape."""
        levels = [volume]
        for down, gate, seen in zip(self.down, self.gates, features, strict=True):
            levels.append(gate(down(levels[-1]), seen))
        x = levels[-1]
        for number in (2, 1):
            x = _fitted(self.up[number](x), levels[number])
            x = self.join[number - 1](torch.cat([functional.leaky_relu(x), levels[number]], 1))
            x = self.up_gates[number - 1](x, features[number - 1])
        return _fitted(self.up[0](x), volume)


def _fitted(x: Tensor, like: Tensor) -> Tensor:
    """Cut to the shape of a level whose sides were odd."""
    return x[..., : like.shape[-3], : like.shape[-2], : like.shape[-1]]


class Context(nn.Module):
    """What the left image says to the recurrent units at 1/4, 1/8 and 1/16: their first state and their biases.

    Args:
        hidden: features of a unit's state.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU())
        self.quarter = nn.Sequential(
            _Residual(64, 64), _Residual(64, 64), _Residual(64, 96, 2), _Residual(96, 96)
        )
        self.quarter_out = nn.Sequential(_Residual(96, hidden), _Residual(hidden, hidden))
        self.eighth = nn.Sequential(_Residual(hidden, hidden, 2), _Residual(hidden, hidden))
        self.sixteenth = nn.Sequential(_Residual(hidden, hidden, 2), _Residual(hidden, hidden))
        self.states = nn.ModuleList([_head(hidden, hidden) for _ in range(3)])
        self.biases = nn.ModuleList([_head(hidden, hidden) for _ in range(3)])
        self.split = nn.ModuleList([nn.Conv2d(hidden, 3 * hidden, 3, padding=1) for _ in range(3)])

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (N, 3, H, W) to states and, three times as wide, biases at the three scales."""
        quarter = self.quarter_out(self.quarter(self.stem(image)))
        eighth = self.eighth(quarter)
        scales = (quarter, eighth, self.sixteenth(eighth))
        states = [head(x).tanh() for head, x in zip(self.states, scales, strict=True)]
        biases = [
            split(head(x).relu()) for split, head, x in zip(self.split, self.biases, scales, strict=True)
        ]
        return states, biases


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_Residual(inputs, inputs), nn.Conv2d(inputs, outputs, 3, padding=1))


class _Residual(nn.Module):
    """Two convolutions with batch normalisation around a skip."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU(),
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = functional.relu(self.skip(x) + self.body(x))
        return out


class RecurrentUnit(nn.Module):
    """A gated recurrent unit of convolutions (Cho et al. 2014) whose gates get biases from the context."""

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(hidden + inputs, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)

    def forward(self, state: Tensor, bias: Tensor, seen: Tensor) -> Tensor:
        """Map the state (N, hidden, H, W), biases and input to the next state."""
        update_bias, reset_bias, candidate_bias = bias.chunk(3, 1)
        update, reset = self.gates(torch.cat([state, seen], 1)).chunk(2, 1)
        update, reset = (update + update_bias).sigmoid(), (reset + reset_bias).sigmoid()
        found = (self.candidate(torch.cat([reset * state, seen], 1)) + candidate_bias).tanh()
        return (1 - update) * state + update * found


class Refinement(nn.Module):
    """Recurrent units at three scales, a change of the disparity, and its enlargement to all pixels.

    Args:
        hidden: features of a unit's state.
        motion: features that are looked up about a disparity.
    """

    def __init__(self, hidden: int, motion: int) -> None:
        super().__init__()
        self.looked = nn.Sequential(
            nn.Conv2d(motion, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, 96, 3, padding=1), nn.ReLU()
        )
        self.place = nn.Sequential(
            nn.Conv2d(1, 32, 7, padding=3), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()
        )
        self.join = nn.Sequential(nn.Conv2d(128, hidden - 1, 3, padding=1), nn.ReLU())
        self.units = nn.ModuleList(
            [
                RecurrentUnit(hidden, 2 * hidden),
                RecurrentUnit(hidden, 2 * hidden),
                RecurrentUnit(hidden, hidden),
            ]
        )
        self.change = nn.Sequential(
            nn.Conv2d(hidden, 2 * hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(2 * hidden, 1, 3, padding=1)
        )
        self.mask = nn.Sequential(nn.Conv2d(hidden, 64, 3, padding=1), nn.ReLU())
        self.mask_up = nn.Sequential(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU())
        self.weights = nn.ConvTranspose2d(64, 9, 4, 2, 1)

    def forward(
        self, states: list[Tensor], biases: list[Tensor], motion: Tensor, disparity: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """The next states, the change of the disparity (N, 1, H/4, W/4) and features of its enlargement."""
        quarter, eighth, sixteenth = states
        seen = torch.cat(
            [self.join(torch.cat([self.looked(motion), self.place(disparity)], 1)), disparity], 1
        )
        sixteenth = self.units[2](sixteenth, biases[2], _halved(eighth, sixteenth))
        context = torch.cat([_halved(quarter, eighth), _enlarged(sixteenth, eighth)], 1)
        eighth = self.units[1](eighth, biases[1], context)
        quarter = self.units[0](quarter, biases[0], torch.cat([seen, _enlarged(eighth, quarter)], 1))
        return [quarter, eighth, sixteenth], self.change(quarter), self.mask(quarter)

    def enlarged(self, disparity: Tensor, mask: Tensor, half: Tensor) -> Tensor:
        """(N, 1, H, W): each pixel a weighted mean of nine of (N, 1, H/4, W/4); `half` are 32 features at half the resolution."""
        weights = self.weights(torch.cat([self.mask_up(mask), half], 1)).softmax(1)
        n, _, height, width = disparity.shape
        around = functional.unfold(disparity, 3, padding=1).view(n, 9, height, width)
        near = functional.interpolate(around, scale_factor=4.0, mode="nearest")
        out: Tensor = (weights * near).sum(1, keepdim=True)
        return out


def _halved(x: Tensor, like: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(x, (like.shape[-2], like.shape[-1]))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
