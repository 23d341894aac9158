"""Tables of figures beside the papers': rows {table, row, metric, paper, ours, interval, interval_over, seeds}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from orrery.errors import OrreryError
from orrery.files import read_as
from orrery.systems.base import SystemSection, Workspace

Row = dict[str, Any]
Result = Mapping[str, Any]
Pick = Callable[[Result], list[float]]


def gathered(work: Workspace, section: SystemSection) -> dict[str, Any]:
    """What `evaluate` wrote, by variant, in the order of params.yaml.

    Raises:
        OrreryError: the champion's variant was not evaluated.
    """
    found = {variant: work.report(variant) / "metrics.json" for variant in section.variants}
    results = {
        variant: read_as(path, dict[str, Any], "an evaluation")
        for variant, path in found.items()
        if path.exists()
    }
    if section.champion_variant not in results:
        folder = work.report(section.champion_variant)
        raise OrreryError("has no metrics.json", file=folder, remedy="run evaluate first")
    return results


def row_of(table: str, name: str, metric: str, paper: float | None, result: Result, pick: Pick) -> Row:
    """Mean over scenes and seeds, with an interval.

    Of several seeds the interval is the 95 % confidence interval of their mean (Student's t); of one seed it is the range
    over its scenes, where there are several. `interval_over` says which.
    """
    finite = [[value for value in pick(each) if np.isfinite(value)] for each in seeds_of(result)]
    means = [float(np.mean(values)) for values in finite if values]
    interval: list[float] | None = None
    over: str | None = None
    if len(means) > 1:
        half = float(stats.t.ppf(0.975, len(means) - 1) * stats.sem(means))
        interval, over = [float(np.mean(means)) - half, float(np.mean(means)) + half], "seeds"
    elif means and len(finite[0]) > 1:
        interval, over = [min(finite[0]), max(finite[0])], "scenes"
    return {
        "table": table, "row": name, "metric": metric, "paper": paper,
        "ours": round(float(np.mean(means)), 4) if means else None,
        "interval": interval and [round(float(end), 4) for end in interval], "interval_over": over,
        "seeds": len(means),
    }  # fmt: skip


def seeds_of(result: Result) -> list[Result]:
    """The evaluation of the first seed and those of further ones."""
    return [result, *result.get("replicas", [])]


def markdown(title: str, preface: str, rows: list[Row]) -> str:
    """One Markdown table a table, a line a variant; the paper's figures in brackets, intervals over seeds in square ones."""
    parts = [f"# {title}\n", preface]
    if any(row["paper"] is not None for row in rows):
        parts.append("\nWhere the paper gives a figure it stands in brackets.")
    for table in dict.fromkeys(row["table"] for row in rows):
        mine = [row for row in rows if row["table"] == table]
        metrics = list(dict.fromkeys(row["metric"] for row in mine))
        parts.append(f"\n## {table}\n")
        parts.append("| variant | " + " | ".join(metrics) + " |")
        parts.append("|---" * (len(metrics) + 1) + "|")
        for name in dict.fromkeys(row["row"] for row in mine):
            cells = {row["metric"]: _cell(row) for row in mine if row["row"] == name}
            parts.append(f"| {name} | " + " | ".join(cells.get(metric, "") for metric in metrics) + " |")
    return "\n".join(parts) + "\n"


def _cell(row: Row) -> str:
    ours = "–" if row["ours"] is None else f"{row['ours']:.3g}"
    if row["interval_over"] == "seeds":
        ours += f" [{row['interval'][0]:.3g}, {row['interval'][1]:.3g}]"
    return f"{ours} ({row['paper']:g})" if row["paper"] is not None else ours
