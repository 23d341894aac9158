"""Networks of kaguya-disparity, built from their parameters. All take one tensor of planes and return one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from orrery.nets.half_resolution_unet import HalfResolutionUNet
from orrery.systems.kaguya_disparity.nets.igev import IgevResidual
from orrery.systems.kaguya_disparity.nets.palette import PaletteUNet
from orrery.systems.kaguya_disparity.nets.params import (
    IgevParams,
    NetworkParams,
    PaletteParams,
    SubpixelIgevParams,
    UNetParams,
)
from orrery.systems.kaguya_disparity.nets.subpixel import SubpixelIgev

if TYPE_CHECKING:
    from orrery.systems.kaguya_disparity.params import VariantParams


def build(variant: VariantParams) -> nn.Module:
    """The network of a variant."""
    match variant.network:
        case UNetParams(widths=widths):
            return HalfResolutionUNet(variant.planes, 1 + variant.has_sigma, widths)
        case PaletteParams() as options:
            return ToldNoise(variant.planes, options)
        case IgevParams() as options:
            return IgevResidual(options)
        case SubpixelIgevParams() as options:
            return SubpixelIgev(options)


def network_planes(variant: VariantParams) -> int:
    """Planes of the network's input: those of the pair, and of a diffusion the noised residual and gamma."""
    return variant.planes + 2 * (variant.method.name == "diffusion")


def multiple(network: NetworkParams) -> int:
    """Of what the sides of an input must be multiples."""
    match network:
        case UNetParams(widths=widths):
            return int(2 ** len(widths))
        case PaletteParams(half_resolution=half):
            return 16 if half else 8
        case IgevParams():
            return 32
        case SubpixelIgevParams():
            return 8


class ToldNoise(nn.Module):
    """A Palette network that takes gamma as the last plane of its input, and may work on blocks of 2 x 2 pixels.

    Args:
        planes: of the pair.
        options: of the network.
    """

    def __init__(self, planes: int, options: PaletteParams) -> None:
        super().__init__()
        self.block = 2 if options.half_resolution else 1
        self.unet = PaletteUNet(
            (planes + 1) * self.block**2,
            self.block**2,
            options.width,
            dropout=options.dropout,
            embedding=options.embedding,
        )

    def forward(self, planes: Tensor) -> Tensor:
        """Map (N, planes + 2, H, W), the last two the noised residual and gamma, to (N, 1, H, W)."""
        gamma = planes[:, -1].mean((1, 2))
        folded = functional.pixel_unshuffle(planes[:, :-1], self.block)
        out: Tensor = functional.pixel_shuffle(self.unet(folded, gamma), self.block)
        return out
