"""Plots over all variants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from orrery.figures import save
from orrery.tables import Row

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
