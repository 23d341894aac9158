"""Run benchmarks: ``python -m benchmarks.run [name...]``, e.g. ``align`` for `bench_align.py`; all without a name.

Each `bench_*.py` beside this file has ``rows() -> list[Row]`` and compares with a peer or a limit in the same run.
The table goes to the terminal, the rows to reports/benchmarks.json.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.files import write_json

FOLDER = Path(__file__).parent
REPORT = FOLDER.parent / "reports" / "benchmarks.json"
HEAD = ("what", "figure", "unit", "peer", "peer's", "ratio", "goal", "met")


def available(folder: Path = FOLDER) -> list[str]:
    """The names of the benchmarks in a folder, sorted."""
    return sorted(path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py"))


def chosen(names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """The benchmarks to run: those named, or all of them.

    Raises:
        OrreryError: a name is unknown.
    """
    if unknown := sorted(set(names) - set(known)):
        raise OrreryError(
            f"no benchmark {', '.join(unknown)}", remedy=f"choose among {', '.join(known) or 'none'}"
        )
    return names or known


def measure(names: Iterable[str]) -> tuple[list[Row], list[str]]:
    """Run benchmarks one after the other.

    Returns:
        the rows; and a line for each benchmark that could not run (e.g. before `make repro`).
    """
    rows, failures = [], []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(f"benchmarks.bench_{name}").rows()
        except OrreryError as error:
            failures.append(f"{name} did not run: {error}")
    return rows, failures


def table(rows: Sequence[Row]) -> str:
    """The rows as an aligned text table; under each its conditions."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    told = [
        text for line, row in zip(lines[1:], rows, strict=True) for text in (line, f"    {row.conditions}")
    ]
    return "\n".join([lines[0], *told])


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "NO", None: ""}[row.met]
    return (
        row.name,
        _number(row.figure),
        row.unit,
        row.peer,
        _number(row.peer_figure),
        _number(row.ratio),
        row.goal,
        met,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def main(names: Sequence[str], report: Path = REPORT) -> int:
    """Measure, print, write; 0 when every benchmark ran, 1 when one could not, 2 for a wrong name.

    A goal that is missed is shown and does not change the status: the figure is the result.
    """
    try:
        rows, failures = measure(chosen(names, available()))
    except OrreryError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(rows))
    write_json(report, [row.to_dict() for row in rows])
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
