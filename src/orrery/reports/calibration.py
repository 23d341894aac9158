"""Whether the predicted 1-sigma means what it says: shares of errors within it, and a plot over all intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib.figure import Figure

from orrery.figures import save
from orrery.reports.pictures import Picture, embedded
from orrery.reports.units import figure, labelled, numbers

COVERAGE = "coverage_1sigma"
EXACT = 0.6827  # share of a normal distribution within one standard deviation


@dataclass(frozen=True)
class Calibration:
    """Of one variant on its test scenes.

    Attributes:
        columns: what is covered.
        lines: scene -> a figure a column.
        plot: reliability, where the evaluation has it.
    """

    columns: tuple[str, ...]
    lines: dict[str, list[str]]
    plot: Picture | None


def calibration_of(metrics: Mapping[str, Any]) -> Calibration | None:
    """Coverage of a variant's evaluation by test scene; None where it predicts no 1-sigma."""
    tests = {name: row for name, row in metrics["scenes"].items() if row.get("set") == "test"}
    names = {name for row in tests.values() for name in numbers(row) if name.startswith(COVERAGE)}
    chosen = sorted(name for name in names if "@" not in name)
    if not chosen:
        return None
    lines = {scene: [figure(row.get(name)) for name in chosen] for scene, row in tests.items()}
    curves = {scene: row["reliability"] for scene, row in tests.items() if row.get("reliability")}
    return Calibration(tuple(labelled(name) for name in chosen), lines, _plot(curves) if curves else None)


def _plot(curves: Mapping[str, Mapping[str, list[float]]]) -> Picture:
    """Observed against expected share, a line a scene."""
    sheet = Figure(figsize=(7, 5.6), layout="constrained")
    axis = sheet.subplots()
    axis.plot([0, 1], [0, 1], color="gray", linewidth=0.8, label="exact")
    for scene, curve in curves.items():
        axis.plot(curve["expected"], curve["observed"], "o-", label=scene, markersize=3, linewidth=1)
    axis.axvline(EXACT, color="gray", linewidth=0.8, linestyle=":")
    axis.annotate("1σ", (EXACT, 0.02), xytext=(4, 0), textcoords="offset points", color="gray")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_xlabel("share of errors that the predicted 1σ lets expect within an interval")
    axis.set_ylabel("share that lies within it")
    axis.legend(fontsize=8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "reliability.png"
        save(sheet, path)
        return embedded(path, "Reliability of the predicted 1σ")
