"""Alignment on the twin: NAC-R onto NAC-L and the coarse DEM onto the image, from starts up to five postings off.

Every figure is a root mean square over the image of the true error, and the median of the scenes. Sites and suns are drawn
from another seed than the sample's, eight scenes a terrain kind; ``ORRERY_BENCH_ALIGNMENT_SITES`` draws more (two scenes
each).
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.row import Row
from orrery.raster.scene import list_scenes
from orrery.systems.lunar_dtm.align import AlignParams, align_scene
from orrery.world_params import MoonParams, SiteParams, SunParams
from orrery.worlds.moon import make

SITES = int(os.environ.get("ORRERY_BENCH_ALIGNMENT_SITES", "12"))
GSD_M, STRIP_PX, HEIGHT_PX, SEED = 3.0, 512, 896, 101
POSTING_M = MoonParams.model_fields["sldem"].default.posting_m
SIZE = f"{2 * STRIP_PX - 135} x {HEIGHT_PX} px at {GSD_M:g} m, incidences 40-84 degrees"


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        table = aligned(Path(folder))
    coarse, strips = (table[table.pair == pair] for pair in ("to-coarse", "r-to-l"))
    kinds = [row for kind, scenes in coarse.groupby("kind") for row in kind_rows(str(kind), scenes)]
    return [*kinds, strip_row(strips), calibration_row(coarse), time_row(table)]


def aligned(folder: Path) -> pd.DataFrame:
    """Make the scenes, align each, and return the rows of all pairs with the seconds that each scene took."""
    # the twin wants one listed site; it is no part of the drawn sample and is left out
    listed = {"listed": SiteParams(kind="flat", suns=[SunParams(azimuth_deg=0.0, elevation_deg=45.0)])}
    params = MoonParams(
        gsd_m=GSD_M, strip_width_px=STRIP_PX, height_px=HEIGHT_PX, sites=listed, drawn_sites=SITES
    )
    make(folder / "raw", params, SEED)
    found = []
    for scene in list_scenes(folder / "raw"):
        if scene.site != "listed":
            start = time.process_time()
            pairs = align_scene(scene, folder / "aligned", AlignParams(), SEED)
            found += [{**pair, "seconds": time.process_time() - start} for pair in pairs]
    return pd.DataFrame(found)


def kind_rows(kind: str, scenes: pd.DataFrame) -> list[Row]:
    """True error of one terrain kind, beside the start and beside tie points alone; flat ground has no bar."""
    goal = "" if kind == "flat" else "figure <= 0.15"
    error, start, ties = (
        float(scenes[column].median()) / POSTING_M
        for column in ("true_error_m", "initial_error_m", "tie_point_error_m")
    )
    worst = float(scenes.true_error_m.quantile(0.9)) / POSTING_M
    conditions = f"{len(scenes)} scenes of the twin, {SIZE}; nine in ten below {worst:.3f} posting"
    return [
        Row(f"coarse DEM onto image, {kind}", error, "posting", conditions, "start", start, goal),
        Row(f"refinement, {kind}", error, "posting", conditions, "tie points and RANSAC alone", ties),
    ]


def strip_row(scenes: pd.DataFrame) -> Row:
    """True error over the whole right strip, px."""
    error, start = (float(scenes[column].median()) / GSD_M for column in ("true_error_m", "initial_error_m"))
    worst = float(scenes.true_error_m.quantile(0.9)) / GSD_M
    conditions = f"{len(scenes)} scenes of the twin, 135 px shared; nine in ten below {worst:.3f} px"
    return Row("NAC-R onto NAC-L", error, "px", conditions, "as written", start, "figure <= 0.2")


def calibration_row(scenes: pd.DataFrame) -> Row:
    """True over expected error of the coarse DEM's place, root mean square over scenes: 1 is honest, above is too sure."""
    ratio = float(np.sqrt(((scenes.true_error_m / scenes.expected_error_m) ** 2).mean()))
    return Row(
        "true over expected error", ratio, "", f"{len(scenes)} scenes of the twin", goal="figure <= 1.5"
    )


def time_row(table: pd.DataFrame) -> Row:
    """Processor time of a scene, both strips, reading and writing included."""
    seconds = float(table.groupby("scene").seconds.first().median())
    return Row("align a scene", seconds, "s", f"median, one core, {SIZE}", goal="figure <= 4")
