"""The networks of mars-bands: eight architectures of Stepcenkov et al. (2022), seven encoders, and the demo's own.

All map (N, inputs, H, W) to (N, outputs, H, W) and end in a convolution: targets are z-scores or class scores, so the
sigmoid of the medical U-Net and the tanh of pix2pix would cut them off. None pads its input: `input_size` tells what
height and width it takes, and the caller pads.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from orrery.nets.half_resolution_unet import HalfResolutionUNet
from orrery.systems.mars_bands.nets.conditional_gan_unet import ConditionalGanUNet
from orrery.systems.mars_bands.nets.medical_unet import MedicalUNet
from orrery.systems.mars_bands.nets.padding import reflected
from orrery.systems.mars_bands.nets.params import (
    ConditionalGanUNetParams,
    HalfResolutionParams,
    MedicalUNetParams,
    NetworkParams,
    SmpParams,
)
from orrery.systems.mars_bands.nets.smp import build_smp

__all__ = [
    "ConditionalGanUNetParams",
    "HalfResolutionParams",
    "InputSize",
    "MedicalUNetParams",
    "NetworkParams",
    "SmpParams",
    "build",
    "input_size",
]


class InputSize(NamedTuple):
    """Heights and widths that a network takes, px: multiples of `multiple`, at least `smallest`."""

    multiple: int
    smallest: int


def build(params: NetworkParams, inputs: int, outputs: int) -> nn.Module:
    """The network that `params` describes, from `inputs` to `outputs` planes.

    Raises:
        OrreryError: the file of pretrained weights is missing or holds other weights.
    """
    network = _bare(params, inputs, outputs)
    return reflected(network) if params.padding == "reflect" else network


def input_size(params: NetworkParams) -> InputSize:
    """What height and width the network of `params` takes.

    Reflection needs a feature map larger than the border it mirrors, hence the smallest size at the deepest level.
    """
    match params:
        case SmpParams():
            return InputSize(32, 96 if params.encoder == "efficientnet-b0" else 64)
        case MedicalUNetParams():
            return InputSize(16, 32)
        case ConditionalGanUNetParams():
            return InputSize(256, 256)
        case HalfResolutionParams():
            return InputSize(2 ** len(params.widths), 2 * 2 ** len(params.widths))


def _bare(params: NetworkParams, inputs: int, outputs: int) -> nn.Module:
    """The network as published, borders padded with zeros."""
    match params:
        case SmpParams():
            return build_smp(params, inputs, outputs)
        case MedicalUNetParams():
            return MedicalUNet(inputs, outputs)
        case ConditionalGanUNetParams():
            return ConditionalGanUNet(inputs, outputs)
        case HalfResolutionParams():
            return HalfResolutionUNet(inputs, outputs, params.widths)
