"""Plots over all variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from orrery.figures import save


def quality_plot(rows: list[dict[str, Any]], path: Path) -> None:
    """RMSE and slope error of every variant by terrain, at true alignment and at the pipeline's."""
    names = list(dict.fromkeys(row["row"] for row in rows))
    tables = [table for table in dict.fromkeys(row["table"] for row in rows) if table.endswith("alignment")]
    figure = Figure(figsize=(14, 3.2 * len(tables) / 2 + 1), layout="constrained")
    axes = figure.subplots((len(tables) + 1) // 2, 2, squeeze=False)
    for axis, table in zip(axes.flat, tables, strict=False):
        for offset, metric in ((-0.2, "rmse_m"), (0.2, "slope_mae_deg")):
            values = {
                row["row"]: row["ours"] for row in rows if row["table"] == table and row["metric"] == metric
            }
            axis.bar(
                np.arange(len(names)) + offset, [values.get(name) or 0 for name in names], 0.4, label=metric
            )
        axis.set_xticks(np.arange(len(names)), names, rotation=40, ha="right", fontsize=7)
        axis.set_title(table, fontsize=9)
        axis.set_ylabel("m, degrees")
    axes.flat[0].legend(fontsize=8)
    save(figure, path)


def illumination_plot(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """RMSE against incidence on the multi-illumination site."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name, result in results.items():
        rows = [row for scene, row in result["scenes"].items() if scene.startswith("suns-")]
        points = sorted((row["incidence_deg"], row["rmse_m"]) for row in rows)
        if points:
            axis.plot(*zip(*points, strict=True), "o-", label=name, markersize=3, linewidth=1)
    axis.set_xlabel("incidence, degrees")
    axis.set_ylabel("RMSE, m")
    axis.legend(fontsize=7)
    save(figure, path)
