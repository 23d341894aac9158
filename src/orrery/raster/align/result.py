"""How two images are brought together, and what was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from orrery.params import Count, Fraction, Positive, Section
from orrery.raster.align.field import SmoothField
from orrery.raster.align.search import Shift
from orrery.raster.align.tiepoints import TiePoints
from orrery.raster.align.warping import Correction
from orrery.raster.grid import AffineMap

# Of splines and parabolas, alike at all points and so seen by no comparison of them: clean pairs with known shifts show
# up to .015 px.
SYSTEMATIC_PX = 0.02


class CoregistrationOptions(Section):
    """How two images are brought together; lengths in pixels of the reference."""

    search_px: Count = Field(80, description="largest shift that is looked for, in each direction")
    fine_search_px: Count = Field(8, description="what the affine map may leave: the warp and its own error")
    window_px: Count = Field(96, description="side of a window; under its Hann weight about half counts")
    spacing_px: Count = Field(
        32, description="distance of tie points: less tells nothing new, as windows overlap"
    )
    margin_px: Count = Field(20, description="distance of the outermost tie points from the edge")
    knots_px: Positive = Field(100.0, description="distance of the warp's knots")
    block_px: Count = Field(200, description="side of the blocks that are held out")
    destripe: bool = Field(True, description="take column offsets out of the moving image before matching")
    least_valid: Fraction = Field(0.35, description="share of a window's weight that both images must show")
    shift_m: Positive = Field(300.0, description="expected shift, one standard deviation a coordinate")
    rotation_deg: Positive = Field(0.5, description="expected rotation, one standard deviation")
    stretch: Positive = Field(0.01, description="expected error of scale, one standard deviation")
    shear: Positive = Field(
        0.005, description="expected shear and difference of scales, one standard deviation"
    )


@dataclass(frozen=True)
class Coregistration:
    """What was found.

    Attributes:
        correction: from positions as written in the moving image, in the reference's coordinate system, to true ones.
        points: tie points of the last pass; source is the moving image, as written.
        inliers: (N,) which of them the field leans on.
        held_out_px: (N,) how far each lies from a field made without its ground, px; NaN where it judged nothing.
        tried: (M, 2) row and column of the windows whose ground both images show, px.
        blocks, empty_blocks: of that ground, and those of them without a tie point that the field leans on.
        shift: of the first search, in pixels of a quarter's scale.
        gsd_m: of the reference.
    """

    correction: Correction
    points: TiePoints
    inliers: NDArray[np.bool_]
    held_out_px: NDArray[np.float64]
    tried: NDArray[np.float64]
    blocks: int
    empty_blocks: int
    shift: Shift
    gsd_m: float

    @property
    def affine(self) -> AffineMap:
        """The correction's first part, which holds for all of the image."""
        return self.correction.affine

    @property
    def field(self) -> SmoothField | None:
        """The correction's second part; None where there were too few tie points for one."""
        return self.correction.field

    @property
    def valid_share(self) -> float:
        """Share of the windows tried that the field leans on."""
        return float(self.inliers.sum()) / len(self.tried) if len(self.tried) else 0.0

    @property
    def residual_px(self) -> float:
        """Root mean square of the held-out distances and of what they cannot see, px; NaN where nothing was held out."""
        distances = self.held_out_px[np.isfinite(self.held_out_px)]
        return (
            float(np.hypot(np.sqrt(np.mean(distances**2)), SYSTEMATIC_PX)) if distances.size else float("nan")
        )

    @property
    def residual_m(self) -> float:
        """The same, m."""
        return self.residual_px * self.gsd_m
