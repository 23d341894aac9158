"""AROSICS on one pair, global then local; run by `bench_coregistration` with the Python of an environment that has it.

    python arosics_peer.py PAIR.npz OUT.npz

PAIR holds `reference` and `moving` (H, W, uint8, 0 invalid). OUT holds `written`, (2, H, W) rows and columns in the moving
image of the reference's pixels (NaN where it gives none), `tried`, `valid`, `seconds` and `found`: nothing, shift or warp.
"""

import contextlib
import io
import sys
import time
from typing import Any

import numpy as np
from arosics import COREG, COREG_LOCAL, DESHIFTER  # type: ignore[import-not-found]
from geoarray import GeoArray  # type: ignore[import-not-found]
from pyproj import CRS

LEFT, TOP, GSD = 500_000.0, 4_600_000.0, 6.0  # any metric frame serves: only pixels are compared
PROJECTION = CRS.from_epsg(32633).to_wkt()
WINDOWS_PX = (256, 512, 400, 640)  # the default, then what helps where it finds no match
MOST_SHIFT_PX, LOCAL_SHIFT_PX, STEP_PX, FEWEST = 80, 10, 50, 5
OFFSET = 1000.0  # keeps coordinate images clear of the nodata value


def placed(values: Any, right_px: float = 0.0, down_px: float = 0.0) -> Any:
    """An array as AROSICS takes it, moved."""
    transform = (LEFT + right_px * GSD, GSD, 0, TOP - down_px * GSD, 0, -GSD)
    return GeoArray(np.ascontiguousarray(values), transform, PROJECTION)


def global_shift(reference: Any, moving: Any) -> tuple[float, float] | None:
    """Shift to apply to the moving image, px right and down; None when nothing was found."""
    for side in WINDOWS_PX:
        try:
            job = COREG(
                placed(reference), placed(moving), ws=(side, side), max_shift=MOST_SHIFT_PX, nodata=(0, 0), q=True, CPUs=1
            )  # fmt: skip
            job.calculate_spatial_shifts()
        except RuntimeError:
            continue
        if job.success and job.x_shift_px is not None:
            return float(job.x_shift_px), float(job.y_shift_px)
    return None


def warped(job: Any, ramp: Any, shift: tuple[float, float]) -> Any:
    """An image of coordinates put through what the local job found, on the reference's pixels."""
    done = DESHIFTER(
        placed(ramp + OFFSET, *shift), job.coreg_info, resamp_alg="bilinear", align_grids=True, nodata=0, q=True,
        progress=False, cliptoextent=False,
    ).correct_shifts()  # fmt: skip
    values = np.asarray(done["GeoArray_shifted"][:], float)
    transform = done["updated geotransform"]
    right, down = round((transform[0] - LEFT) / GSD), round((TOP - transform[3]) / GSD)
    out = np.full(ramp.shape, np.nan)
    top, left = max(down, 0), max(right, 0)
    bottom, end = min(down + values.shape[0], out.shape[0]), min(right + values.shape[1], out.shape[1])
    out[top:bottom, left:end] = values[top - down : bottom - down, left - right : end - right]
    return np.where(out > OFFSET * 0.9, out - OFFSET, np.nan)


def run(reference: Any, moving: Any) -> dict[str, Any]:
    """Global then local, as the paper's users do."""
    rows, columns = (plane.astype(np.float32) for plane in np.indices(reference.shape))
    start = time.process_time()
    shift = global_shift(reference, moving)
    if shift is None:
        seconds = time.process_time() - start
        return {
            "written": np.stack([rows, columns]),
            "tried": 0,
            "valid": 0,
            "seconds": seconds,
            "found": "nothing",
        }
    if np.hypot(*shift) < LOCAL_SHIFT_PX / 2:
        shift = (0.0, 0.0)  # the local stage reaches that far, and its filters want something to improve
    written = np.stack([rows - shift[1], columns - shift[0]])
    found = {"written": written, "tried": 0, "valid": 0, "found": "shift"}
    with contextlib.suppress(RuntimeError, ValueError, AssertionError, IndexError, KeyError):
        job = COREG_LOCAL(
            placed(reference), placed(moving, *shift), grid_res=STEP_PX, max_shift=LOCAL_SHIFT_PX, nodata=(0, 0), q=True,
            progress=False, CPUs=1,
        )  # fmt: skip
        job.calculate_spatial_shifts()
        valid = int((job.CoRegPoints_table.OUTLIER == False).sum())
        found |= {"tried": len(job.CoRegPoints_table), "valid": valid}
        if valid >= FEWEST:
            job.correct_shifts()
            found["seconds"] = time.process_time() - start
            found |= {
                "written": np.stack([warped(job, ramp, shift) for ramp in (rows, columns)]),
                "found": "warp",
            }
    found.setdefault("seconds", time.process_time() - start)
    return found


if __name__ == "__main__":
    pair = np.load(sys.argv[1])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = run(pair["reference"], pair["moving"])
    np.savez(sys.argv[2], **result)
