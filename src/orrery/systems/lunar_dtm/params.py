"""The section `systems.lunar-dtm` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orrery.params import Count, Fraction, NonNegative, OptimiserParams, Section
from orrery.systems.base import SystemSection
from orrery.systems.lunar_dtm.align import AlignParams
from orrery.systems.lunar_dtm.predict import PredictParams
from orrery.systems.split import SplitParams

Operator = Literal["difference", "sobel"]
LossName = Literal["elevation", "gradient", "normal", "uncertainty"]


class PatchParams(Section):
    """How aligned scenes are cut."""

    height_px: Annotated[int, Field(gt=0, multiple_of=32)]
    width_px: Annotated[int, Field(gt=0, multiple_of=32)]
    overlap_px: Annotated[int, Field(ge=0)]
    truth: Literal["truth", "nac_dtm"]
    min_valid_fraction: Fraction
    misalignments: Count
    misalignment_m: NonNegative


class UNetParams(Section):
    """The half-resolution U-Net."""

    name: Literal["unet"]
    widths: Annotated[list[Count], Field(min_length=2)]


class DLunarDTMNetParams(Section):
    """DLunarDTMNet and its ancestor."""

    name: Literal["dlunardtmnet"]
    size: Literal["demo", "full"]
    stem_kernel: Literal[3, 7]
    upsampling: Literal["nearest", "deconvolution"]


class PhysicalRecipeParams(Section):
    """Channels, base and orientation of orrery-dtm; each switch is an ablation."""

    name: Literal["physical"]
    sun_sector: bool
    photoclinometry: bool
    base: Literal["photoclinometry", "coarse"]
    sun_constants: bool


class PaperRecipeParams(Section):
    """Normalisation of the paper, Eqs. 2 and 3; truth by the coarse DEM's statistics or (literally) by its own."""

    name: Literal["paper"]
    truth_statistics: Literal["coarse", "own"]


class VariantParams(Section):
    """One network with its recipe, its loss weights by name and its training."""

    network: Annotated[UNetParams | DLunarDTMNetParams, Field(discriminator="name")]
    recipe: Annotated[PhysicalRecipeParams | PaperRecipeParams, Field(discriminator="name")]
    losses: dict[LossName, NonNegative]
    gradient_operator: Operator
    optimiser: OptimiserParams


class LunarParams(SystemSection):
    """Everything of lunar-dtm."""

    split: SplitParams
    align: AlignParams
    patch: PatchParams
    predict: PredictParams
    variants: dict[str, VariantParams]
