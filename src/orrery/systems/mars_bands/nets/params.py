"""The sections of params.yaml that describe a network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orrery.params import Count, Section

Architecture = Literal["fpn", "linknet", "manet", "pspnet", "unet", "unetplusplus"]
Encoder = Literal[
    "densenet121", "efficientnet-b0", "gernet_s", "regnetx_002", "regnety_002", "resnet18", "vgg11"
]
Padding = Annotated[
    Literal["reflect", "zeros"],
    Field(
        description="what convolutions see beyond the border; the paper changed to reflection after its Table 2"
    ),
]


class SmpParams(Section):
    """One of the paper's six architectures with one of its seven encoders, as segmentation_models_pytorch has them."""

    name: Literal["smp"]
    architecture: Architecture = "unet"
    encoder: Encoder = "efficientnet-b0"
    padding: Padding = "reflect"
    pretrained: Annotated[
        str | None, Field(description="safetensors file of the encoder's weights; nothing is downloaded")
    ] = None


class MedicalUNetParams(Section):
    """The biomedical U-Net of Buda et al. (2019)."""

    name: Literal["medical-unet"]
    padding: Padding = "reflect"


class ConditionalGanUNetParams(Section):
    """The U-Net generator of pix2pix (Isola et al. 2017) for 256 px."""

    name: Literal["conditional-gan-unet"]
    padding: Padding = "reflect"


class HalfResolutionParams(Section):
    """The half-resolution U-Net of the demo."""

    name: Literal["half-resolution-unet"]
    widths: Annotated[list[Count], Field(min_length=2)]
    padding: Padding = "reflect"


NetworkParams = Annotated[
    SmpParams | MedicalUNetParams | ConditionalGanUNetParams | HalfResolutionParams,
    Field(discriminator="name"),
]
