"""The U-Net of conditional diffusion that the paper trained (its reference 18, an unofficial package of Palette).

The package follows Dhariwal and Nichol 2021 (Diffusion Models Beat GANs on Image Synthesis, section 3): resampling inside
residual blocks, scale and shift from the noise level. Facts that are not in the paper, and what we do about them:

- attention sits in the middle block alone: the package compares its setting "16" with the rate of reduction, which never
  exceeds 8. Kept.
- the package overwrites the zero-initialised last convolutions of its blocks. We keep the zeros, so that every block
  begins as its skip and the network begins at an output of zero.
- the noise level gamma goes into sinusoids unscaled, which hardly tells 0.99 from 0.999. `embedding="literal"` does that,
  "log-snr" (default) embeds log(gamma / (1 - gamma)).
- it checkpoints every attention block; we do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Embedding = Literal["log-snr", "literal"]
Resampling = Literal["none", "down", "up"]

MAX_GROUPS = 32
LONGEST_PERIOD = 1e4  # of the sinusoids, over 2 pi
SMALLEST_GAMMA = 1e-6  # noisier or cleaner levels are all the same to a network
RADIANS_PER_LOG_SNR = 10.0  # highest frequency: a radian is 5 % in noise amplitude


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with the most groups that divide `channels`, up to 32 and down to two channels a group."""
    most = max(1, min(MAX_GROUPS, channels // 2))
    return nn.GroupNorm(next(g for g in range(most, 0, -1) if channels % g == 0), channels)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with weights and bias of zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def sinusoids(position: Tensor, width: int) -> Tensor:
    """Cosines and sines of (N,) positions at width / 2 frequencies from 1 down to 1 / 10^4: (N, width)."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=position.device) / half
    phases = position[:, None].float() * torch.exp(-math.log(LONGEST_PERIOD) * exponents)
    return torch.cat([torch.cos(phases), torch.sin(phases)], 1)


class NoiseLevel(nn.Module):
    """Embedding of the noise level: sinusoids, then two linear layers."""

    def __init__(self, width: int, kind: Embedding) -> None:
        super().__init__()
        self.width, self.kind = width, kind
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width), nn.SiLU()
        )

    def forward(self, gamma: Tensor) -> Tensor:
        """Map (N,) levels in [0, 1] to (N, 4 * width)."""
        if self.kind == "log-snr":
            gamma = RADIANS_PER_LOG_SNR * torch.logit(gamma.float(), SMALLEST_GAMMA)
        levels: Tensor = self.layers(sinusoids(gamma, self.width))
        return levels


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions round a skip; the noise level scales and shifts the second normalisation."""

    def __init__(
        self, inputs: int, outputs: int, levels: int, dropout: float, resampling: Resampling = "none"
    ) -> None:
        super().__init__()
        self.resampling = resampling
        self.first_norm, self.first = group_norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(levels, 2 * outputs)
        self.second_norm, self.dropout = group_norm(outputs), nn.Dropout(dropout)
        self.second = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, levels: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H', W'): H' is H, H / 2 or 2 H by the resampling."""
        y = self.first(self._resampled(functional.silu(self.first_norm(x))))
        scale, shift = self.modulation(levels)[:, :, None, None].chunk(2, 1)
        y = functional.silu(self.second_norm(y) * (1 + scale) + shift)
        out: Tensor = self.skip(self._resampled(x)) + self.second(self.dropout(y))
        return out

    def _resampled(self, x: Tensor) -> Tensor:
        match self.resampling:
            case "down":
                return functional.avg_pool2d(x, 2)
            case "up":
                return functional.interpolate(x, scale_factor=2.0, mode="nearest")
            case _:
                return x


class Attention(nn.Module):
    """Self-attention over all places of a map, in heads of `head_channels`, round a skip."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // head_channels)
        self.norm = group_norm(channels)
        self.queries_keys_values = nn.Conv2d(channels, 3 * channels, 1)
        self.projection = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        n, channels, height, width = x.shape
        packed: Tensor = self.queries_keys_values(self.norm(x))
        heads = packed.reshape(n, 3, self.heads, channels // self.heads, height * width).transpose(3, 4)
        queries, keys, values = heads.unbind(1)  # (N, heads, H W, C / heads)
        y = functional.scaled_dot_product_attention(queries, keys, values)
        out: Tensor = x + self.projection(y.transpose(2, 3).reshape(x.shape))
        return out


class PaletteUNet(nn.Module):
    """Condition, noisy target and noise level to what the diffusion predicts; 62.64 M parameters from 6 to 3 planes.

    Args:
        in_channels: of the condition and the noisy target together.
        out_channels: of the target.
        width: features at full resolution; multiplied by `multipliers`, the second of which is at half resolution.
        multipliers: of the width, one a level.
        blocks: residual blocks a level on the way down; one more on the way up.
        head_channels: width of an attention head.
        dropout: probability, in training.
        embedding: what of the noise level is embedded; see above.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        head_channels: int = 32,
        dropout: float = 0.2,
        embedding: Embedding = "log-snr",
    ) -> None:
        super().__init__()
        self.levels = NoiseLevel(width, embedding)
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)

        def block(inputs: int, outputs: int, resampling: Resampling = "none") -> ResidualBlock:
            return ResidualBlock(inputs, outputs, 4 * width, dropout, resampling)

        widths = [width * multiplier for multiplier in multipliers]
        skips, down = [width], list[ResidualBlock]()
        for level, features in enumerate(widths):
            for _ in range(blocks):
                down.append(block(skips[-1], features))
                skips.append(features)
            if level + 1 < len(widths):
                down.append(block(features, features, "down"))
                skips.append(features)
        deepest = widths[-1]
        up, current = list[ResidualBlock](), deepest
        for level, features in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                up.append(block(current + skips.pop(), features))
                current = features
            if level:
                up.append(block(features, features, "up"))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.before, self.after = block(deepest, deepest), block(deepest, deepest)
        self.attention = Attention(deepest, head_channels)
        self.last = nn.Sequential(
            group_norm(width), nn.SiLU(), zeroed(nn.Conv2d(width, out_channels, 3, padding=1))
        )

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """Map (N, in_channels, H, W), condition first, and (N,) noise levels to (N, out_channels, H, W).

        H and W must be multiples of 2 ** (len(multipliers) - 1).
        """
        levels = self.levels(gamma)
        x = self.first(x)
        skips = [x]
        for block in self.down:
            x = block(x, levels)
            skips.append(x)
        x = self.after(self.attention(self.before(x, levels)), levels)
        for block in self.up:
            x = block(x if block.resampling == "up" else torch.cat([x, skips.pop()], 1), levels)
        out: Tensor = self.last(x)
        return out
