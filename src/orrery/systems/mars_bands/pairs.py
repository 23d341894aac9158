"""What was measured about a pair of products: one row of the table that the gate judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.raster.align import Coregistration, Correction
from orrery.raster.align.warping import between
from orrery.raster.grid import Grid
from orrery.raster.io import Raster
from orrery.raster.scene import Scene
from orrery.systems.mars_bands.aligned import Alignment
from orrery.systems.mars_bands.likeness import correlation, hull_share, similarity

PairRow = dict[str, Any]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """A scene and where its cube lies.

    Attributes:
        ctx: the image around the cube.
        matched: the band that was matched, at its own sampling.
        result: of the co-registration.
        corrections: by alignment.
    """

    scene: Scene
    ctx: Raster
    matched: Raster
    result: Coregistration
    corrections: Mapping[Alignment, Correction]


def named(scene: Scene) -> PairRow:
    """The columns that name a pair; of real scenes the products."""
    products = scene.item.properties.get("orrery:products", {})
    pair = (
        f"{products['crism']} on {products['ctx']}" if {"crism", "ctx"} <= set(products) else "crism-to-ctx"
    )
    return {"scene": scene.id, "site": scene.site, "kind": scene.kind, "pair": pair}


def measured(found: Found) -> PairRow:
    """What the co-registration tells of itself."""
    result, shift = found.result, shift_m(found.result)
    grid = found.ctx.grid
    used = result.points.where(result.inliers)
    places = np.stack(grid.rowcol(used.reference_x_m, used.reference_y_m), 1)
    return {
        "shift_x_px": shift[0] / grid.gsd_m,
        "shift_y_px": shift[1] / grid.gsd_m,
        "shift_m": float(np.hypot(*shift)),
        "residual_px": result.residual_px,
        "residual_m": result.residual_m,
        "tie_points_used": int(result.inliers.sum()),
        "tie_points_held_out": int(np.isfinite(result.held_out_px).sum()),
        "valid_share": result.valid_share,
        "empty_blocks": result.empty_blocks / max(result.blocks, 1),
        "spread": hull_share(places, result.tried),
    }


def compared(
    seen: NDArray[np.float32], laid: Mapping[Alignment, NDArray[np.float32]], whole: NDArray[np.bool_]
) -> PairRow:
    """Likeness of image and band at the cells that show both, before and after."""
    before, after = laid["none"], laid["local"]
    both = whole & np.isfinite(before) & np.isfinite(after)
    return {
        "ncc_before": correlation(seen, before, both),
        "ncc_after": correlation(seen, after, both),
        "ssim_gain": similarity(seen, after, both) - similarity(seen, before, both),
    }


def errors(found: Found) -> PairRow:
    """Distance from the truth at the valid pixels, px of the image: median, nine in ten; NaN where nobody knows it."""
    nan = float("nan")
    if "true" not in found.corrections:
        return {
            "initial_error_px": nan,
            "global_error_px": nan,
            "true_error_px": nan,
            "true_error_rms_px": nan,
        }
    grid = found.matched.grid
    places = between(grid.crs, found.ctx.grid.crs, *grid.xy(*np.nonzero(found.matched.valid)))
    true = found.corrections["true"].apply(*places)
    gsd_m = found.ctx.grid.gsd_m
    off = {
        name: np.hypot(*np.subtract(found.corrections[name].apply(*places), true)) / gsd_m
        for name in ("none", "global", "local")
    }
    return {
        "initial_error_px": float(np.median(off["none"])),
        "global_error_px": float(np.median(off["global"])),
        "true_error_px": float(np.median(off["local"])),
        "true_error_rms_px": float(np.sqrt(np.mean(off["local"] ** 2))),
    }


def shift_m(result: Coregistration) -> tuple[float, float]:
    """The one shift that suits the tie points best: their median, x and y, m; none where there are none."""
    used = result.points.where(result.inliers)
    if not len(used):
        return 0.0, 0.0
    return (
        float(np.median(used.reference_x_m - used.source_x_m)),
        float(np.median(used.reference_y_m - used.source_y_m)),
    )


def shared(scene: str, boxes: Mapping[str, Sequence[float]]) -> float:
    """Largest share of a scene's box that lies in a box of another set; sets are the first words of the names."""
    west, south, east, north = boxes[scene]
    area = (east - west) * (north - south)
    shares = [0.0]
    for other, (left, bottom, right, top) in boxes.items():
        if other.split("-")[0] != scene.split("-")[0]:
            turn = 360 * round((west - left) / 360)  # longitudes may count from 0 or from -180
            width = min(east, right + turn) - max(west, left + turn)
            height = min(north, top) - max(south, bottom)
            shares.append(max(width, 0) * max(height, 0) / area)
    return max(shares)


def box(grid: Grid) -> tuple[float, float, float, float]:
    """West, south, east, north of a grid, degrees."""
    ring = np.array(grid.footprint()["coordinates"][0])
    (west, south), (east, north) = ring.min(0), ring.max(0)
    return float(west), float(south), float(east), float(north)


def number(value: Any) -> float:
    """A property as a number; NaN where it is lacking."""
    return float("nan") if value is None else float(value)
