"""The U-Net with which Palette (Saharia et al. 2022) is run in the package that Iwashita et al. (2025) used.

A guided-diffusion network (Dhariwal and Nichol 2021): residual blocks that are told the noise level, attention, sampling up and
down inside residual blocks. In that package attention stands in the middle only, because its list of resolutions is compared
with rates of down-sampling that never occur. Its re-initialisation of the last convolutions, which are meant to begin at zero,
is left out, and so is the unscaled noise level, but for the embedding "literal".
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Embedding = Literal["log-snr", "literal"]

MOST_GROUPS = 32
LONGEST_PERIOD = 1e4
LEAST_SHARE = 1e-6  # of noise or signal: keeps the logarithm finite


class PaletteUNet(nn.Module):
    """Noised planes with their condition to planes, at a noise level.

    Args:
        inputs: planes of condition and noised residual.
        outputs: planes predicted.
        width: features of the first level; the package's is 64.
        multipliers: of the width at each level; each further level halves the resolution.
        blocks: residual blocks a level on the way down; one more on the way up.
        head_width: features of an attention head.
        dropout: inside residual blocks.
        embedding: of gamma: its log signal-to-noise ratio over four, or as it is.
    """

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 1,
        width: int = 64,
        multipliers: tuple[int, ...] = (1, 2, 4, 8),
        blocks: int = 2,
        head_width: int = 32,
        dropout: float = 0.2,
        embedding: Embedding = "log-snr",
    ) -> None:
        super().__init__()
        told = 4 * width
        self.level = nn.Sequential(
            NoiseLevel(width, embedding), nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told)
        )
        widths = [width * each for each in multipliers]
        self.stem = nn.Conv2d(inputs, width, 3, padding=1)
        self.down, skips = _down(width, widths, blocks, told, dropout)
        deepest = widths[-1]
        self.middle = nn.ModuleList(
            [
                ResidualBlock(deepest, deepest, told, dropout),
                Attention(deepest, head_width),
                ResidualBlock(deepest, deepest, told, dropout),
            ]
        )
        self.up = _up(deepest, widths, blocks, skips, told, dropout)
        self.head = nn.Sequential(
            _norm(widths[0]), nn.SiLU(), _zeroed(nn.Conv2d(widths[0], outputs, 3, padding=1))
        )

    def forward(self, planes: Tensor, gamma: Tensor) -> Tensor:
        """Map (N, inputs, H, W) and (N,) gammas to (N, outputs, H, W); H and W are multiples of 2 ** (levels - 1)."""
        told = self.level(gamma)
        x = self.stem(planes)
        skips = [x]
        for block in self.down:
            x = block(x, told)
            skips.append(x)
        for block in self.middle:
            x = block(x) if isinstance(block, Attention) else block(x, told)
        for block in self.up:
            x = block(x if block.resampling == "up" else torch.cat([x, skips.pop()], 1), told)
        out: Tensor = self.head(x)
        return out


class NoiseLevel(nn.Module):
    """(N,) gammas as (N, width) cosines and sines of periods from 2 pi to 2 pi 10,000."""

    def __init__(self, width: int, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        frequencies = torch.exp(-math.log(LONGEST_PERIOD) * torch.arange(width // 2) / (width // 2))
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, gamma: Tensor) -> Tensor:
        """Map (N,) to (N, width)."""
        if self.embedding == "log-snr":
            bounded = gamma.clamp(LEAST_SHARE, 1 - LEAST_SHARE)
            gamma = torch.log(bounded / (1 - bounded)) / 4
        phase = gamma[:, None] * self.frequencies
        return torch.cat([phase.cos(), phase.sin()], 1)


class ResidualBlock(nn.Module):
    """Two convolutions around a skip; the noise level scales and shifts between them, resampling comes before the first."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        told: int,
        dropout: float,
        resampling: Literal["none", "down", "up"] = "none",
    ) -> None:
        super().__init__()
        self.resampling = resampling
        self.first = nn.Sequential(_norm(inputs), nn.SiLU())
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(told, 2 * outputs))
        self.norm = _norm(outputs)
        self.last = nn.Sequential(
            nn.SiLU(), nn.Dropout(dropout), _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Map (N, inputs, H, W) and (N, told) to (N, outputs, H', W')."""
        y = self.convolution(self._resampled(self.first(x)))
        scale, shift = self.modulation(told)[:, :, None, None].chunk(2, 1)
        y = self.last(self.norm(y) * (1 + scale) + shift)
        out: Tensor = self.skip(self._resampled(x)) + y
        return out

    def _resampled(self, x: Tensor) -> Tensor:
        match self.resampling:
            case "down":
                return functional.avg_pool2d(x, 2)
            case "up":
                return functional.interpolate(x, scale_factor=2.0, mode="nearest")
            case "none":
                return x


class Attention(nn.Module):
    """Each place looks at all others, in heads (Vaswani et al. 2017)."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.heads = max(1, width // head_width)
        self.norm = _norm(width)
        self.queries = nn.Conv1d(width, 3 * width, 1)
        self.out = _zeroed(nn.Conv1d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same."""
        n, width, h, w = x.shape
        found = self.queries(self.norm(x).flatten(2)).view(n, 3, self.heads, width // self.heads, h * w)
        query, key, value = found.transpose(-1, -2).unbind(1)
        seen = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(seen.transpose(-1, -2).reshape(n, width, h * w)).view(n, width, h, w)
        return x + out


def _down(
    width: int, widths: list[int], blocks: int, told: int, dropout: float
) -> tuple[nn.ModuleList, list[int]]:
    """The way down, and the features of every skip."""
    layers, skips = nn.ModuleList(), [width]
    for number, features in enumerate(widths):
        for _ in range(blocks):
            layers.append(ResidualBlock(width, features, told, dropout))
            width = features
            skips.append(width)
        if number < len(widths) - 1:
            layers.append(ResidualBlock(width, width, told, dropout, "down"))
            skips.append(width)
    return layers, skips


def _up(
    width: int, widths: list[int], blocks: int, skips: list[int], told: int, dropout: float
) -> nn.ModuleList:
    """The way up; every block but those that only resample takes a skip."""
    layers, skips = nn.ModuleList(), list(skips)
    for number, features in reversed(list(enumerate(widths))):
        for _ in range(blocks + 1):
            layers.append(ResidualBlock(width + skips.pop(), features, told, dropout))
            width = features
        if number:
            layers.append(ResidualBlock(width, width, told, dropout, "up"))
    return layers


def _norm(width: int) -> nn.GroupNorm:
    """Group normalisation in as many groups as divide the features, at most 32."""
    groups = next(count for count in range(min(MOST_GROUPS, width), 0, -1) if width % count == 0)
    return nn.GroupNorm(groups, width)


def _zeroed(layer: nn.Module) -> nn.Module:
    """A layer that begins as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
