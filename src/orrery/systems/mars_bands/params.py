"""The section `systems.mars-bands` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orrery.params import Count, Fraction, NonNegative, OptimiserParams, Positive, Section
from orrery.systems.base import SystemSection
from orrery.systems.mars_bands.align import AlignParams
from orrery.systems.mars_bands.aligned import Alignment
from orrery.systems.mars_bands.augment import Augmentation
from orrery.systems.mars_bands.filling import FillParams
from orrery.systems.mars_bands.nets.params import NetworkParams
from orrery.systems.mars_bands.predict import PredictParams
from orrery.systems.split import SplitParams

LossName = Literal["squared", "absolute", "gradient", "uncertainty", "cross_entropy"]


class ClipParams(Section):
    """What is cut off before anything is normalised (Stepcenkov et al. 2022, Appendix A.1)."""

    name: Literal["percentile", "sigma", "none"]
    percentile: Annotated[NonNegative, Field(lt=50, description="of either end, %")] = 0.01
    sigmas: Positive = 3.0


class PatchParams(Section):
    """How aligned scenes are cut, and for which placements of the CRISM cube."""

    size_px: Annotated[
        int, Field(ge=64, multiple_of=32, description="calibration leaves out a border of 16 px")
    ]
    overlap_px: Annotated[int, Field(ge=0)]
    random_patches: Annotated[
        int, Field(ge=0, description="a training scene's, at random places as the paper's; 0: a regular grid")
    ] = 0
    min_valid_fraction: Fraction
    wavelengths_nm: Annotated[list[Positive], Field(min_length=1, description="bands to keep, nm; nearest")]
    spectral_dimensions: Annotated[
        int, Field(ge=0, description="components of whole spectra to keep too, as aligned; 0: none")
    ] = 0
    placements: Annotated[
        list[Alignment], Field(min_length=1, description="with `local`, on which all variants are validated")
    ]
    clip: ClipParams


class RegressionParams(Section):
    """One value a band; with a 1-sigma when `uncertainty` has a weight among the losses."""

    name: Literal["regression"]


class ClassificationParams(Section):
    """A distribution over bins a band (section 5.4.3 of the paper)."""

    name: Literal["classification"]
    n_edges: Annotated[int, Field(ge=3)]
    spacing: Literal["equidistant", "sid"]
    limit: Positive = 6.0
    weights: Literal["none", "literal", "centred"] = "centred"
    decode: Literal["expectation", "argmax"] = "expectation"


class SpectralParams(Section):
    """Coefficients of whole spectra in the basis of the training scenes, so that every band is predicted (see `spectral`)."""

    name: Literal["spectral"]
    dimensions: Annotated[Count, Field(description="the first ones of `patch.spectral_dimensions`")]


class VariantParams(Section):
    """One network with its head, its normalisation, its loss weights by name and its training.

    Attributes:
        bands: wavelengths predicted, nm; the nearest of `patch.wavelengths_nm`. "all" that cubes have, of a spectral head.
        normalisation: "none", "global", "image" and "patch" are the paper's z-scores; "ratio" predicts the logarithm of
            I/F over the CTX image at CRISM's resolution, "residual" what a straight line from that image leaves; both have an
            inverse, see `normalisation`.
        masking: "valid" takes the mean over valid pixels; "diluted" over all, invalid ones zero, as the paper does.
        leave_out: regions that it is not trained on, for the regional hold-out.
        augmentation: what may be done to a training patch, each as likely as nothing; see `augment`.
        placement: where the cube lies in training: not aligned, after the global stage, aligned, or (twin) in truth.
    """

    network: NetworkParams
    head: Annotated[RegressionParams | ClassificationParams | SpectralParams, Field(discriminator="name")]
    bands: Annotated[list[Positive], Field(min_length=1)] | Literal["all"]
    normalisation: Literal["none", "global", "image", "patch", "ratio", "residual"]
    masking: Literal["valid", "diluted"] = "valid"
    placement: Alignment = "local"
    leave_out: list[str] = Field(default_factory=list)
    augmentation: list[Augmentation] = Field(default_factory=list)
    dem: bool = False
    losses: dict[LossName, NonNegative]
    optimiser: OptimiserParams

    @model_validator(mode="after")
    def _losses_suit_the_head(self) -> VariantParams:
        foreign = "uncertainty" if self.head.name == "classification" else "cross_entropy"
        if self.losses.get(foreign, 0) > 0:  # type: ignore[call-overload]
            raise ValueError(f"losses.{foreign}: a {self.head.name} has none")
        if not any(weight > 0 for weight in self.losses.values()):
            raise ValueError("losses: none has a weight")
        return self

    @model_validator(mode="after")
    def _whole_spectra_are_served(self) -> VariantParams:
        if (self.bands == "all") != isinstance(self.head, SpectralParams):
            raise ValueError("bands: 'all' goes with the head 'spectral', and with no other")
        if self.bands == "all" and self.normalisation not in ("none", "global", "residual"):
            raise ValueError(f"normalisation: {self.normalisation!r} has no way back from coefficients")
        if self.bands == "all" and self.placement != "local":
            raise ValueError(f"placement: whole spectra are kept as aligned, not {self.placement!r}")
        return self

    @property
    def targets(self) -> int:
        """Values that are learned of each pixel: bands, or coefficients of its spectrum."""
        return self.head.dimensions if isinstance(self.head, SpectralParams) else len(self.bands)


class MarsParams(SystemSection):
    """Everything of mars-bands."""

    split: SplitParams
    align: AlignParams
    patch: PatchParams
    predict: PredictParams
    restore: FillParams = FillParams()
    variants: dict[str, VariantParams]

    @model_validator(mode="after")
    def _variants_are_served(self) -> MarsParams:
        if "local" not in self.patch.placements:
            raise ValueError("patch.placements: lacks 'local', on which all variants are validated")
        for name, variant in self.variants.items():
            if variant.placement not in self.patch.placements:
                raise ValueError(
                    f"variants.{name}.placement: {variant.placement!r} is not among patch.placements"
                )
            if variant.bands == "all":
                if variant.targets > self.patch.spectral_dimensions:
                    raise ValueError(
                        f"variants.{name}.head.dimensions: patch.spectral_dimensions is {self.patch.spectral_dimensions}"
                    )
                continue
            for band in variant.bands:
                if min(abs(band - kept) for kept in self.patch.wavelengths_nm) > 1.0:
                    raise ValueError(f"variants.{name}.bands: {band} nm is not among patch.wavelengths_nm")
        return self
