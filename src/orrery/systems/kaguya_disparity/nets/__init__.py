"""Networks of kaguya-disparity, built from their parameters. All take one tensor of planes and return one.

They are imported when one is built: what only reads parameters needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orrery.systems.kaguya_disparity.nets.params import (
    IgevParams,
    NetworkParams,
    PaletteParams,
    SubpixelIgevParams,
    UNetParams,
)

if TYPE_CHECKING:
    from torch import nn

    from orrery.systems.kaguya_disparity.params import VariantParams


def build(variant: VariantParams) -> nn.Module:
    """The network of a variant."""
    from orrery.nets.half_resolution_unet import HalfResolutionUNet
    from orrery.systems.kaguya_disparity.nets.wrapped import PublishedIgev, SignedIgev, ToldNoise

    match variant.network:
        case UNetParams(widths=widths):
            return HalfResolutionUNet(variant.planes, 1 + variant.has_sigma, widths)
        case PaletteParams() as options:
            return ToldNoise(variant.planes, options)
        case IgevParams() as options:
            return PublishedIgev(options)
        case SubpixelIgevParams() as options:
            return SignedIgev(options)


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
