"""One image brought onto another of the same ground that has other tones, other sharpness and a smooth warp.

First a shift for all of the image and, from tie points at a quarter of the scale, an affine map. Then, at full scale, dense
tie points and a smooth field, twice: by features that any two bands share, and by what this pair was found to share. The
residual is judged by tie points in blocks of ground that had no part in the field that judges them.
"""

from __future__ import annotations

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.raster.align.affine import Spread, fit_affine
from orrery.raster.align.agreement import agreed
from orrery.raster.align.blocks import Blocks
from orrery.raster.align.dense import Matches, Plane, Windows, match_dense
from orrery.raster.align.features import Features, Mask, Scales, despiked, destriped, features
from orrery.raster.align.result import Coregistration, CoregistrationOptions
from orrery.raster.align.search import Shift, find_shift
from orrery.raster.align.smooth import FEWEST, Fitter, Lattice, Measured, to_field
from orrery.raster.align.tiepoints import TiePoints
from orrery.raster.align.warping import Correction, SplineBand, between, positions_as_written
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.raster import Array, Raster
from orrery.raster.windows import block_means
from orrery.seeds import stream

QUARTER = 4  # of the scale at which the first, wide search is made
PADDED_PX = 24  # of the reference around the moving image, beyond the search
SCALES = Scales(1.5, 10.0, 24.0)
QUARTER_SCALES = Scales(1.0, 6.0, 16.0)
QUARTER_WINDOWS = Windows(side_px=64, spacing_px=24, margin_px=8, search_px=6, least_valid=0.5)
QUARTER_TOLERANCE_PX = 1.5  # of a quarter's px: what a warp may add to an affine map
FIRST_STIFFNESS = 0.003
SECOND_SEARCH_PX = 4
BLOCKS_ACROSS = 4
MOST_STEEP = 0.5  # of a field; 1 could fold. Those found on the twin and the bench stay below .15
LEAST_SIDE_PX = 64  # of common ground: below, not even one window at a quarter of the scale
SQUARE = 1e-3  # largest difference of a pixel's sides, as a share


def coregister(
    moving: Raster, reference: Raster, options: CoregistrationOptions, seed: int = 0
) -> Coregistration:
    """Find the warp that brings one image onto another.

    Args:
        moving: NaN invalid; in any projection of the same body, of the reference's pixel size or coarser.
        reference: NaN invalid; north up, square pixels. Only what the moving image may show of it is looked at.
        options: reach, windows, knots.
        seed: of RANSAC's draws.

    Raises:
        OrreryError: the images do not meet, the reference is rotated, or no transformation leads between them.
    """
    pair = _Pair(moving, _cropped(reference, moving.grid, options), options)
    shift, rough = pair.roughly(seed)
    first = pair.refined(pair.by_features(rough), rough)
    return pair.judged(pair.by_agreement(first), first, shift)


class _Pair:
    """Two images on the way to each other."""

    def __init__(self, moving: Raster, reference: Raster, options: CoregistrationOptions) -> None:
        self.options, self.reference, self.grid = options, reference.values, reference.grid
        self.moving_grid = moving.grid
        values = despiked(moving.values)
        self.band = SplineBand(destriped(values) if options.destripe else values)

    def roughly(self, seed: int) -> tuple[Shift, Correction]:
        """A shift for all of the image, then an affine map, at a quarter of the scale."""
        height, width = (length // QUARTER for length in self.grid.shape)
        whole = self.grid.window(0, 0, height * QUARTER, width * QUARTER)
        small = Grid(whole.crs, whole.transform * Affine.scale(QUARTER), height, width)
        seen = self._quarter(self.reference[: whole.height, : whole.width])
        found = self._quarter(self._laid(whole, Correction(AffineMap.identity())))
        shift = find_shift(seen, found, -(-self.options.search_px // QUARTER))
        x, y = small.xy([0, -shift.down], [0, -shift.right])
        moved = Correction(AffineMap(shift_m=(x[1] - x[0], y[1] - y[0]), centre_m=small.centre))
        found = self._quarter(self._laid(whole, moved))
        matches = match_dense(*_pairs(seen, found), QUARTER_WINDOWS)
        points = _tie_points(matches.where(matches.good), small, moved)
        fit = fit_affine(
            points,
            small.centre,
            self._prior,
            tolerance_m=QUARTER_TOLERANCE_PX * small.gsd_m,
            rng=stream(seed, "coregistration"),
            around=moved.affine,
        )
        return shift, Correction(fit.map)

    def by_features(self, known: Correction) -> Matches:
        """Tie points by what any two bands share, with the moving image laid by what is known."""
        seen, found = (features(values, SCALES) for values in (self.reference, self._laid(self.grid, known)))
        return match_dense(*_pairs(seen, found), self._windows(self.options.fine_search_px))

    def by_agreement(self, known: Correction) -> Matches:
        """Tie points by what these two share, as far as it is seen with the moving image laid by what is known."""
        one, other, common = agreed(self.reference, self._laid(self.grid, known))
        return match_dense([(one, other)], common, self._windows(SECOND_SEARCH_PX))

    def refined(self, matches: Matches, known: Correction) -> Correction:
        """The correction with a field through the good matches; what is known where they are too few."""
        good = matches.where(matches.good)
        if len(good) < FEWEST:
            return known
        return self._with_field(self._fitter(good, known), FIRST_STIFFNESS, known)[0]

    def judged(self, matches: Matches, known: Correction, shift: Shift) -> Coregistration:
        """The final field, and what tells how good it is."""
        good = matches.where(matches.good)
        blocks = Blocks(self._block_px(matches), self.options.window_px / 4)
        correction, inliers = known, np.zeros(len(good), bool)
        held_out = np.full(len(good), np.nan)
        if len(good) >= FEWEST:
            fitter = self._fitter(good, known)
            stiffness, held_out = fitter.stiffness(blocks.folds(good.rows, good.columns))
            correction, inliers = self._with_field(fitter, stiffness, known)
        used = good.where(inliers)
        tried = blocks.count(matches.rows, matches.columns)
        return Coregistration(
            correction=correction,
            points=_tie_points(good, self.grid, known),
            inliers=inliers,
            held_out_px=held_out,
            tried=np.stack([matches.rows, matches.columns], 1),
            blocks=tried,
            empty_blocks=tried - blocks.count(used.rows, used.columns),
            shift=shift,
            gsd_m=self.grid.gsd_m,
        )

    def _fitter(self, good: Matches, known: Correction) -> Fitter:
        """Of the displacements that the affine map leaves, at the places to which it leads."""
        points = _tie_points(good, self.grid, known)
        rows, columns = self.grid.rowcol(*known.affine.apply(points.source_x_m, points.source_y_m))
        measured = Measured(rows, columns, good.rows - rows, good.columns - columns, good.information)
        return Fitter(measured, Lattice.over(*self.grid.shape, self.options.knots_px))

    def _with_field(
        self, fitter: Fitter, stiffness: float, known: Correction
    ) -> tuple[Correction, NDArray[np.bool_]]:
        """A correction with a fitted field, and the points it leans on; false matches must not fold it over.

        It is made stiffer until it is far from folding. A plane is as stiff as can be: where even that is too steep,
        nothing is known but the affine map.
        """
        x, y = self.grid.xy(0, 0)
        for stiffer in (1, 10, 100, 1e4, 1e6):
            fit = fitter.fit(stiffness * stiffer)
            field = to_field(fit.coefficients, fitter.lattice, (float(x), float(y)), self.grid.gsd_m)
            if field.steepness < MOST_STEEP:
                return Correction(known.affine, field), fit.inliers
        return Correction(known.affine), np.zeros(len(fitter.measured), bool)

    def _laid(self, grid: Grid, correction: Correction) -> Array:
        return self.band.masked(positions_as_written(grid, correction, self.moving_grid))

    def _quarter(self, values: Array) -> Features:
        return features(block_means(values, QUARTER), QUARTER_SCALES)

    def _block_px(self, matches: Matches) -> float:
        """Side of the blocks: as asked, but at most a quarter of the ground, lest fields be judged by how they run on."""
        if not len(matches):
            return self.options.block_px
        side = min(float(np.ptp(matches.rows)), float(np.ptp(matches.columns)))
        return max(min(self.options.block_px, side / BLOCKS_ACROSS), self.options.window_px)

    def _windows(self, search_px: int) -> Windows:
        options = self.options
        return Windows(
            options.window_px, options.spacing_px, options.margin_px, search_px, options.least_valid
        )

    @property
    def _prior(self) -> Spread:
        options = self.options
        return Spread(options.shift_m, options.stretch, options.rotation_deg, options.shear)


def _pairs(seen: Features, found: Features) -> tuple[list[tuple[Plane, Plane]], Mask]:
    """Both features of two images, and where both are valid."""
    pairs: list[tuple[Plane, Plane]] = [(seen.structure, found.structure), (seen.edges, found.edges)]
    return pairs, seen.valid & found.valid


def _tie_points(good: Matches, grid: Grid, known: Correction) -> TiePoints:
    """Matches in map metres, the moving image's places as they are written in it."""
    source = known.undo(*grid.xy(good.rows + good.down, good.columns + good.right))
    return TiePoints(*source, *grid.xy(good.rows, good.columns), good.score)


def _cropped(reference: Raster, moving: Grid, options: CoregistrationOptions) -> Raster:
    """The part of the reference that the moving image may show.

    Raises:
        OrreryError: there is none, or the reference is rotated.
    """
    t = reference.grid.transform
    if max(abs(t.b), abs(t.d), abs(t.a + t.e)) > SQUARE * abs(t.a) or t.a <= 0:
        raise OrreryError(
            "a reference image is not north up with square pixels",
            remedy="resample it so, e.g. by gdalwarp -tr",
        )
    down, right = (rim.ravel() for rim in np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9)))
    x, y = moving.xy(down * (moving.height - 1), right * (moving.width - 1))
    reach = options.search_px + PADDED_PX
    spans = [
        (max(int(places.min()) - reach, 0), min(int(places.max()) + reach, length))
        for places, length in zip(
            reference.grid.rowcol(*between(moving.crs, reference.grid.crs, x, y)),
            reference.grid.shape,
            strict=True,
        )
    ]
    (top, bottom), (left, right_end) = spans
    if bottom - top < LEAST_SIDE_PX or right_end - left < LEAST_SIDE_PX:
        raise OrreryError("two images show hardly any common ground", remedy="give images of one place")
    part = reference.values[top:bottom, left:right_end]
    return Raster(part, reference.grid.window(top, left, *part.shape))
