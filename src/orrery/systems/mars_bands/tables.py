"""The paper's tables beside ours, for mars-bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orrery.files import replacing, write_json, write_text
from orrery.systems.base import Workspace
from orrery.systems.mars_bands.baselines import baselines
from orrery.systems.mars_bands.evaluate import GROUPS, evaluate
from orrery.systems.mars_bands.params import MarsParams
from orrery.systems.mars_bands.plots import quality_plot
from orrery.tables import Pick, Result, Row, gathered, markdown, row_of

# Table 7 of the paper: RMSE, cosine and PCC of the final networks, z-scored, whole test images; EVC and FC
PAPER_TABLE_7 = {"evc": {"rmse": None, "cosine": None, "pcc": None}}
METRICS = ("rmse_if", "bias_if", "spectral_angle_deg", "rmse", "cosine", "pcc", "rmse_diluted", "valid_fraction",
           "coverage_1sigma")  # fmt: skip
TITLES = {"evc": "enhanced visible colour", "fc": "false colour", "all": "all bands of the variant"}


def write_tables(work: Workspace, section: MarsParams, seed: int, commit: str) -> None:
    """Judge the baselines, gather every variant's metrics, write tables.json, tables.md and the plot."""
    results = {**_baselines(work, section, seed), **gathered(work, section)}
    rows = [{**row, "data": "twin", "commit": commit} for row in _rows(results)]
    with replacing(work.reports / "pictures") as out:
        out.mkdir()
        quality_plot(rows, out / "quality.png")
    title = "mars-bands: the paper's figures beside ours"
    write_text(work.reports / "tables.md", markdown(title, _preface(section.champion_variant, rows), rows))
    write_json(work.reports / "tables.json", rows)
