"""Plots over all methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from orrery.figures import save
from orrery.tables import Result


def brightness_plot(results: Mapping[str, Result], path: Path) -> None:
    """R2 over all test pixels against the mean count, for methods that were judged at several; no plot without one."""
    lines = {name: _by_count(result) for name, result in results.items()}
    lines = {name: line for name, line in lines.items() if len(line) > 1}
    if not lines:
        return
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axis = figure.subplots()
    for name, line in lines.items():
        counts = sorted(line)
        axis.plot(counts, [line[count] for count in counts], marker="o", label=name)
    axis.axhline(0, color="gray", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_ylim(-0.6, None)
    axis.set_xlabel("mean count of the compressed images")
    axis.set_ylabel("R2 of the residual, all test pixels")
    axis.legend()
    save(figure, path)


def _by_count(result: Result) -> dict[float, float]:
    """R2 by mean count, with the standard table."""
    table, standard = result.get("table", ""), result.get("mean_count", 0.0)
    found = {standard: result["pooled"].get("standard", {}).get("r2")}
    for suffix, figures in result["pooled"].items():
        name, _, count = suffix.removeprefix("@").rpartition("-")
        if name == table.lower() and name:
            found[float(count)] = figures.get("r2")
    return {count: float(value) for count, value in found.items() if value is not None}
