"""The section `systems.kaguya-disparity` of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from orrery.params import Count, Fraction, NonNegative, OptimiserParams, Positive, Section
from orrery.raster.stereo import MatchParams
from orrery.systems.base import SystemSection
from orrery.systems.kaguya_disparity.features import FeatureName
from orrery.systems.kaguya_disparity.nets.params import NetworkParams
from orrery.systems.split import SplitParams

LossName = Literal["squared", "absolute", "weighted", "uncertainty", "sequence"]
Parameterisation = Literal["eps", "v"]
SamplerName = Literal["ancestral", "ddim", "dpmpp_2m"]
Spacing = Literal["log-snr", "steps"]


class AlignParams(Section):
    """How pairs are compressed and matched.

    Attributes:
        table: quantisation table of the standard condition.
        mean_count: mean of both images, in the counts that the table acts on, of the standard condition.
        study_means: further means at which test scenes are judged, with the standard table.
        study_tables: further tables with which test scenes are judged, at the standard mean.
        training_draws: further conditions of each training and validation scene: a table of the standard and study ones,
            and a mean drawn evenly in its logarithm over the study's range.
        own_tables: files of further tables, by name.
        bits: of the counts.
    """

    table: str = "SF008S.A"
    mean_count: Positive = 200.0
    study_means: list[Positive]
    study_tables: list[str]
    training_draws: Annotated[int, Field(ge=0)]
    own_tables: dict[str, Path] = Field(default_factory=dict)
    bits: Annotated[int, Field(ge=8, le=16)] = 10
    match: MatchParams = MatchParams()
    search_margin_px: Annotated[
        Count, Field(description="beyond the disparities that blocks of the pair show")
    ] = 10
    max_residual_px: Annotated[
        Positive, Field(description="a larger one is a false match, and left out of learning and judging")
    ] = 0.5


class PatchParams(Section):
    """How aligned scenes are cut."""

    size_px: Annotated[int, Field(ge=64, multiple_of=32)]
    overlap_px: Annotated[int, Field(ge=0)]
    min_valid_fraction: Fraction
    leaky_test_share: Annotated[
        float, Field(gt=0, lt=1, description="of the patches, in the paper's random split of patches")
    ] = 0.1


class RegressionParams(Section):
    """One call: the mean of the residual, with a 1-sigma when `uncertainty` has a weight among the losses."""

    name: Literal["regression"]


class DiffusionParams(Section):
    """Samples of the residual by a conditional diffusion model (Saharia et al. 2022), conditioned on gamma.

    Attributes:
        parameterisation: what the network predicts: the noise, or the velocity.
        schedule: of gamma.
        steps: of the schedule in training.
        sampling_steps: of the schedule in sampling, from which the levels of `calls` are taken.
        sampler: how a sample is drawn.
        calls: of the network, a sample.
        spacing: of their levels: even in log signal-to-noise ratio, or in steps as the package has it.
        samples: drawn for a mean and its spread.
        clip: bound of the predicted residual, in its standard deviations; the package bounds it by 1, which cuts off a third.
    """

    name: Literal["diffusion"]
    parameterisation: Parameterisation = "v"
    schedule: Literal["cosine", "linear"] = "cosine"
    steps: Count = 2000
    sampling_steps: Count = 1000
    sampler: SamplerName = "dpmpp_2m"
    calls: Count = 8
    spacing: Spacing = "log-snr"
    samples: Count = 8
    clip: Positive = 4.0


class StereoParams(Section):
    """The residual as a disparity that a stereo network finds between the left and the rectified right image."""

    name: Literal["stereo"]


class VariantParams(Section):
    """One network with its inputs, its way of predicting, its loss weights by name and its training.

    Attributes:
        inputs: planes that the network is given.
        conditioned: whether it is told table and mean count, and trained on all conditions; else on the standard one.
        split: "pair" keeps whole pairs apart; "patch" draws patches at random, as the paper does, and leaks.
        mirror: show half of the batches mirrored across the track.
    """

    network: NetworkParams
    method: Annotated[RegressionParams | DiffusionParams | StereoParams, Field(discriminator="name")]
    inputs: Annotated[list[FeatureName], Field(min_length=1)]
    conditioned: bool = False
    split: Literal["pair", "patch"] = "pair"
    mirror: bool = True
    losses: dict[LossName, NonNegative]
    optimiser: OptimiserParams

    @property
    def planes(self) -> int:
        """Input planes of the network, that of the condition included."""
        return len(self.inputs) + 2 * self.conditioned

    @property
    def has_sigma(self) -> bool:
        """Whether one call gives a 1-sigma."""
        return self.method.name == "regression" and self.losses.get("uncertainty", 0) > 0

    @model_validator(mode="after")
    def _parts_fit(self) -> VariantParams:
        if not any(weight > 0 for weight in self.losses.values()):
            raise ValueError("losses: none has a weight")
        stereo = self.network.name in ("igev", "subpixel-igev")
        if stereo != (self.method.name == "stereo"):
            raise ValueError(f"method: a {self.network.name} network does not do {self.method.name}")
        if stereo and (self.inputs != ["left", "right"] or self.conditioned):
            raise ValueError("inputs: a stereo network takes left and right, and no condition")
        if self.method.name != "regression" and set(self.losses) != {"sequence" if stereo else "squared"}:
            raise ValueError(f"losses: {self.method.name} has only {'sequence' if stereo else 'squared'}")
        if self.method.name == "diffusion" and self.network.name != "palette":
            raise ValueError("network: diffusion needs a palette, which is told the noise level")
        return self


class PredictParams(Section):
    """How `orrery predict kaguya-disparity` works through a pair."""

    tile_px: Annotated[Count, Field(description="side of a tile of the network")] = 512
    batch_tiles: Count = 4
    block_rows: Annotated[Count, Field(description="rows that are matched at once; bounds memory")] = 512


class KaguyaParams(SystemSection):
    """Everything of kaguya-disparity."""

    split: SplitParams
    align: AlignParams
    patch: PatchParams
    predict: PredictParams = PredictParams()
    variants: dict[str, VariantParams]
