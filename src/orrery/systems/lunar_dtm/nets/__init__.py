"""The networks of lunar-dtm."""

from __future__ import annotations

from torch import nn

from orrery.nets.half_resolution_unet import HalfResolutionUNet
from orrery.systems.lunar_dtm.params import UNetParams, VariantParams
from orrery.systems.lunar_dtm.recipes import make_recipe

UNET_PLANES = 2  # elevation correction, log of sigma, both in px


def build(variant: VariantParams) -> nn.Module:
    """The network that a variant names."""
    network = variant.network
    if isinstance(network, UNetParams):
        return HalfResolutionUNet(make_recipe(variant.recipe).channels, UNET_PLANES, network.widths)
    from orrery.systems.lunar_dtm.nets.dlunardtmnet import DLunarDTMNet  # timm takes seconds to import

    return DLunarDTMNet(network.size, network.stem_kernel, network.upsampling)
