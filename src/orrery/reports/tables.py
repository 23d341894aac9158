"""The paper's figures beside ours: each metric has a column for the paper's, and one for each kind of data of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orrery.reports.units import described, figure, span
from orrery.tables import Row

PAPER = "paper"
DATA = ("twin", "real")  # ours; figures of the two never share a column


@dataclass(frozen=True)
class Cell:
    """One figure and what tells how sure it is."""

    text: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Metric:
    """One metric of a table: what it is called, its unit, and whose figures stand under it."""

    name: str
    words: str
    unit: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One table, ready to be shown.

    Attributes:
        name: as in tables.json.
        metrics: its groups of columns.
        lines: name of a variant -> a cell for each source of each metric.
        beside_paper: whether the paper gives any of its figures.
        note: what intervals are over.
    """

    name: str
    metrics: tuple[Metric, ...]
    lines: dict[str, list[Cell]]
    beside_paper: bool
    note: str


def tables_of(rows: Sequence[Row]) -> list[Table]:
    """All tables in the order of `rows`, those with the paper's figures first."""
    names = dict.fromkeys(row["table"] for row in rows)
    tables = [_table(name, [row for row in rows if row["table"] == name]) for name in names]
    return sorted(tables, key=lambda table: not table.beside_paper)


def _table(name: str, rows: Sequence[Row]) -> Table:
    metrics = tuple(_metric(metric, rows) for metric in dict.fromkeys(row["metric"] for row in rows))
    lines = {
        variant: [
            _cell(rows, variant, metric.name, source) for metric in metrics for source in metric.sources
        ]
        for variant in dict.fromkeys(row["row"] for row in rows)
    }
    over = [kind for kind in ("seeds", "scenes") if any(row.get("interval_over") == kind for row in rows)]
    meaning = {"seeds": "95 % of the mean over seeds", "scenes": "range over scenes"}
    note = " or ".join(meaning[kind] for kind in over)
    return Table(name, metrics, lines, any(PAPER in metric.sources for metric in metrics), note)


def _metric(metric: str, rows: Sequence[Row]) -> Metric:
    mine = [row for row in rows if row["metric"] == metric]
    paper = (PAPER,) if any(row.get("paper") is not None for row in mine) else ()
    kinds = {row.get("data", DATA[0]) for row in mine}
    return Metric(metric, *described(metric), (*paper, *(kind for kind in DATA if kind in kinds)))


def _cell(rows: Sequence[Row], variant: str, metric: str, source: str) -> Cell:
    for row in rows:
        if (row["row"], row["metric"]) != (variant, metric):
            continue
        if source == PAPER and row.get("paper") is not None:
            return Cell(figure(row["paper"]))
        if source == row.get("data", DATA[0]):
            return Cell(figure(row["ours"]), span(row.get("interval")))
    return Cell()
