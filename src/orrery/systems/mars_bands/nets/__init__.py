"""The networks of mars-bands: eight architectures of Stepcenkov et al. (2022), seven encoders, and the demo's own.

All map (N, inputs, H, W) to (N, outputs, H, W) and end in a convolution: targets are z-scores or class scores, so the
sigmoid of the medical U-Net and the tanh of pix2pix would cut them off. None pads its input: `input_size` tells what
height and width it takes, and the caller pads. Networks are imported when they are built, so that parameters can be read without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orrery.systems.mars_bands.nets.params import (
    ConditionalGanUNetParams,
    HalfResolutionParams,
    MedicalUNetParams,
    NetworkParams,
    SmpParams,
)

if TYPE_CHECKING:
    from torch import nn

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
    from orrery.systems.mars_bands.nets.padding import reflected

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
            from orrery.systems.mars_bands.nets.smp import build_smp

            return build_smp(params, inputs, outputs)
        case MedicalUNetParams():
            from orrery.systems.mars_bands.nets.medical_unet import MedicalUNet

            return MedicalUNet(inputs, outputs)
        case ConditionalGanUNetParams():
            from orrery.systems.mars_bands.nets.conditional_gan_unet import ConditionalGanUNet

            return ConditionalGanUNet(inputs, outputs)
        case HalfResolutionParams():
            from orrery.nets.half_resolution_unet import HalfResolutionUNet

            return HalfResolutionUNet(inputs, outputs, params.widths)
