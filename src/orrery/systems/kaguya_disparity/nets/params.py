"""Parameters of the networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orrery.params import Count, Fraction, Section


class UNetParams(Section):
    """The U-Net at half resolution that lunar-dtm and mars-bands use too."""

    name: Literal["half-resolution-unet"]
    widths: Annotated[list[Count], Field(min_length=2)]


class PaletteParams(Section):
    """The U-Net of the package that the paper used for Palette.

    Attributes:
        width: features of the first level; the package's is 64.
        half_resolution: let it work on blocks of 2 x 2 pixels, a quarter of the cost.
        embedding: of the noise level: by its log signal-to-noise ratio, or unscaled as in the package.
    """

    name: Literal["palette"]
    width: Annotated[int, Field(ge=8, multiple_of=8)]
    half_resolution: bool = False
    dropout: Fraction = 0.2
    embedding: Literal["log-snr", "literal"] = "log-snr"


class IgevParams(Section):
    """IGEV++ (Xu et al. 2024) as it is published: disparities of 0 to `max_disparity_px` along the track.

    Attributes:
        width_percent: of all layers but the volumes', of the published ones.
        max_disparity_px: of the widest range.
        training_iterations: of the recurrence, in training.
        iterations: of the recurrence, in use.
    """

    name: Literal["igev"]
    width_percent: Literal[35, 50, 75, 100] = 100
    max_disparity_px: Annotated[int, Field(gt=0, multiple_of=128)] = 768
    training_iterations: Count = 22
    iterations: Count = 32


class SubpixelIgevParams(Section):
    """A fair one for residuals: signed, in eighths of a pixel, on z-scored images.

    Attributes:
        width: matching and context features.
        hidden: features of the recurrent states.
        iterations: of the recurrence.
    """

    name: Literal["subpixel-igev"]
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    hidden: Annotated[int, Field(ge=8, multiple_of=4)] = 64
    iterations: Count = 8


NetworkParams = Annotated[
    UNetParams | PaletteParams | IgevParams | SubpixelIgevParams, Field(discriminator="name")
]
