"""Plots over all variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from orrery.figures import save
from orrery.tables import Result, Row

BANDS = ("592 nm", "533 nm", "442 nm")
SHOWN = {"rmse_if": "RMSE, I/F", "spectral_angle_deg": "spectral angle, degrees", "pcc": "correlation (PCC)"}


def quality_plot(rows: Sequence[Row], path: Path) -> None:
    """Error, spectral angle and correlation of every variant, a line of panels a table at the pipeline's alignment; no plot without one."""
    tables = [
        table for table in dict.fromkeys(row["table"] for row in rows) if table.endswith("pipeline alignment")
    ]
    if not tables:
        return
    figure = Figure(figsize=(14, 3.6 * len(tables)), layout="constrained")
    axes = figure.subplots(len(tables), len(SHOWN), squeeze=False)
    for line, table in zip(axes, tables, strict=True):
        names = list(dict.fromkeys(row["row"] for row in rows if row["table"] == table))
        for axis, (metric, title) in zip(line, SHOWN.items(), strict=True):
            values = {
                row["row"]: row["ours"] for row in rows if (row["table"], row["metric"]) == (table, metric)
            }
            axis.bar(np.arange(len(names)), [values.get(name) or np.nan for name in names], 0.7)
            axis.set_xticks(np.arange(len(names)), names, rotation=40, ha="right", fontsize=7)
            axis.set_ylabel(title)
            axis.set_title(table, fontsize=9)
    save(figure, path)


def histogram_plot(results: Mapping[str, Result], path: Path) -> None:
    """I/F of the EVC bands in every test scene: the cube's distribution and each variant's (the paper's Figure 8).

    The axis ends at twice the cube's highest bin: one level for all, as the mean's, is a spike beyond any axis.
    """
    scenes = dict.fromkeys(
        scene for result in results.values() for scene, found in result.get("histograms", {}).items() if found
    )
    if not scenes:
        return
    figure = Figure(figsize=(3.0 * len(scenes), 6.5))
    figure.subplots_adjust(left=0.03, right=0.99, bottom=0.14, top=0.94, hspace=0.35, wspace=0.2)
    axes = figure.subplots(len(BANDS), len(scenes), squeeze=False)
    for column, scene in zip(axes.T, scenes, strict=True):
        for number, (axis, band) in enumerate(zip(column, BANDS, strict=True)):
            for name, result in results.items():
                found = result.get("histograms", {}).get(scene)
                if found:
                    edges, shares = found["edges"][number], found["predicted"][number]
                    axis.plot(edges[:-1], shares, drawstyle="steps-post", linewidth=0.8, label=name)
                    truth = found["truth"][number]
            axis.fill_between(edges[:-1], truth, step="post", color="0.8", label="CRISM")
            axis.set_title(f"{scene}, {band}", fontsize=8)
            axis.tick_params(labelsize=6)
            axis.set_yticks([])
            axis.set_ylim(0, 2 * max(truth))
        column[-1].set_xlabel("I/F", fontsize=7)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=8, fontsize=7)
    save(figure, path)
