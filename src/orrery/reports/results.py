"""Everything that the pipeline wrote about a system, read for its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orrery.errors import OrreryError
from orrery.files import read_as, read_json, read_text_of
from orrery.systems.base import SystemSection, Workspace
from orrery.tables import Row, gathered

REMEDY = "run `make repro`, or `dvc repro promote@{system}` for this system alone"
ROW = {"table", "row", "metric", "paper", "ours"}


@dataclass(frozen=True)
class Training:
    """One training of the pipeline: the first seed of a variant is replica 0."""

    variant: str
    replica: int
    run_id: str


@dataclass(frozen=True)
class Results:
    """Of one system.

    Attributes:
        work: where its files are.
        champion: the variant that is registered.
        metrics: variant -> its evaluation.
        rows: of tables.json.
        preface: what tables.md says before its tables, Markdown.
        gate: the gate's verdict.
        promotion: the last verdict of `promote`; None where it has not run.
        trainings: of all variants that have results.
    """

    work: Workspace
    champion: str
    metrics: Mapping[str, Any]
    rows: list[Row]
    preface: str
    gate: Mapping[str, Any]
    promotion: Mapping[str, Any] | None
    trainings: tuple[Training, ...]


def has_results(work: Workspace) -> bool:
    """Whether the pipeline got as far as the tables."""
    return (work.reports / "tables.json").exists()


def read_results(work: Workspace, section: SystemSection) -> Results:
    """Read what the stages wrote.

    Raises:
        OrreryError: a stage has not run, or one of its files is damaged.
    """
    tables = work.reports / "tables.json"
    if not has_results(work):
        raise OrreryError("does not exist", file=tables, remedy=REMEDY.format(system=work.system))
    rows = read_json(tables)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= ROW for row in rows):
        problem = f"is not a list of rows with {', '.join(sorted(ROW))}"
        raise OrreryError(problem, file=tables, remedy=f"run `dvc repro --force tables@{work.system}`")
    verdict = work.reports / "promotion.json"
    return Results(
        work,
        section.champion_variant,
        gathered(work, section),
        rows,
        _preface(work.reports / "tables.md"),
        read_as(work.gate_verdict, dict[str, Any], "a verdict of the gate"),
        read_as(verdict, dict[str, Any], "a verdict of `promote`") if verdict.exists() else None,
        tuple(_trainings(work, section)),
    )


def _preface(path: Path) -> str:
    """The first paragraph below the title; empty where there is no such file."""
    if not path.exists():
        return ""
    paragraphs = path.read_text(encoding="utf-8").split("\n\n")
    return paragraphs[1].strip() if len(paragraphs) > 1 else ""


def _trainings(work: Workspace, section: SystemSection) -> list[Training]:
    found = []
    for variant in section.variants:
        runs = [work.model(variant) / "run.json", *sorted(work.model(variant).glob("seed-*/run.json"))]
        found += [
            Training(variant, number, read_text_of(path, "run_id"))
            for number, path in enumerate(runs)
            if path.exists()
        ]
    return found
