"""The part that speaks to Great Expectations 1.x: expectations in, rows that broke them out.

Each of ours becomes two of theirs, because their range check passes over missing values: not null, and between.
Importing this module takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.checkpoint import UpdateDataDocsAction
from great_expectations.core import ExpectationValidationResult
from great_expectations.data_context import AbstractDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column, Condition

from orrery.gates.expectations import ExpectationParams

logging.getLogger("great_expectations").setLevel(
    logging.CRITICAL
)  # what it raises is told by us, without its traceback
NAME = "gate"  # of the one suite, checkpoint and site of an ephemeral context


@dataclass
class Outcome:
    """What Great Expectations says about one of our expectations.

    Attributes:
        rows: rows that its filter selects.
        passed: whether enough of them are measured and within the range.
        broken: the others, as ``{**key columns, judged column: value or None}``.
    """

    rows: int = 0
    passed: bool = True
    broken: list[dict[str, Any]] = field(default_factory=list)


def validate(
    table: pd.DataFrame,
    expectations: Mapping[str, ExpectationParams],
    *,
    key: Sequence[str],
    docs: Path | None,
) -> tuple[list[str], dict[str, Outcome]]:
    """Run one suite over a table in an ephemeral context.

    Args:
        table: judged columns hold finite float64 or NaN.
        expectations: name -> expectation.
        key: columns that name a row.
        docs: folder to build the Data Docs in.

    Returns:
        what is wrong with the table as a whole, sorted; and the outcome of each expectation whose columns exist.
    """
    present = [column for column in key if column in table.columns]
    checks = [*_structure(table, expectations, key)]
    for name, item in expectations.items():
        if {item.column, *item.where} <= set(table.columns):
            checks += _value_checks(name, item)
    problems, outcomes = [], dict[str, Outcome]()
    for result in _run(table, checks, present, docs):
        meta = result.expectation_config.meta if result.expectation_config else {}
        if "problem" not in meta:
            _add(outcomes.setdefault(meta["name"], Outcome()), result)
        elif not result.success:
            problems.append(meta["problem"])
    return sorted(problems), outcomes


def _structure(
    table: pd.DataFrame, expectations: Mapping[str, ExpectationParams], key: Sequence[str]
) -> Iterator[Expectation]:
    """The table has rows, has every column that is named, and its key is unique."""
    yield gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={"problem": "the table has no rows"})
    named = {column for item in expectations.values() for column in (item.column, *item.where)}
    for column in sorted({*key, *named}):
        yield gxe.ExpectColumnToExist(column=column, meta={"problem": f"the table has no column {column!r}"})
    if len(key) > 1 and set(key) <= set(table.columns):
        problem = f"({', '.join(key)}) does not name a single row"
        yield gxe.ExpectCompoundColumnsToBeUnique(column_list=list(key), meta={"problem": problem})


def _value_checks(name: str, item: ExpectationParams) -> Iterator[Expectation]:
    conditions: list[Condition] = [
        Column(column) == value if isinstance(value, str) else Column(column).is_in(value)
        for column, value in item.where.items()
    ]
    shared: dict[str, Any] = {
        "column": item.column,
        "mostly": item.mostly,
        "severity": item.severity,
        "row_condition": reduce(and_, conditions) if conditions else None,
        "meta": {"name": name, "reason": item.reason},
        "description": f"{name}: {item.describe()}; {item.reason}",
    }
    yield gxe.ExpectColumnValuesToBeBetween(min_value=item.min, max_value=item.max, **shared)
    if not item.optional:
        yield gxe.ExpectColumnValuesToNotBeNull(**shared)


def _run(
    table: pd.DataFrame, checks: Sequence[Expectation], key: list[str], docs: Path | None
) -> list[ExpectationValidationResult]:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas(NAME).add_dataframe_asset("pairs")
    definition = gx.ValidationDefinition(
        name=NAME,
        data=asset.add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(gx.ExpectationSuite(NAME, expectations=list(checks))),
    )
    checkpoint = gx.Checkpoint(
        name=NAME,
        validation_definitions=[context.validation_definitions.add(definition)],
        actions=[_data_docs(context, docs)] if docs else [],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": key},
    )
    run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table})
    if docs:
        _lead_to_results(docs)
    return [result for suite in run.run_results.values() for result in suite.results]


def _data_docs(context: AbstractDataContext, folder: Path) -> UpdateDataDocsAction:
    """An ephemeral context builds its site only below an absolute folder."""
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    context.add_data_docs_site(
        NAME, {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": backend}
    )
    return UpdateDataDocsAction(name="docs", site_names=[NAME])


def _lead_to_results(docs: Path) -> None:
    """An index that leads to the one page of results: theirs is drawn by scripts from the network, and empty without."""
    page = next((docs / "validations").rglob("*.html")).relative_to(docs).as_posix()
    link = f'<meta http-equiv="refresh" content="0; url={page}">\n<a href="{page}">Results</a>\n'
    (docs / "index.html").write_text(f"<!doctype html>\n<title>Gate</title>\n{link}", encoding="utf-8")


def _add(outcome: Outcome, result: ExpectationValidationResult) -> None:
    """Take one of the two checks into the outcome; a check that could not run counts as failed."""
    outcome.passed &= bool(result.success)
    outcome.rows = max(outcome.rows, int(result.result.get("element_count", 0)))
    outcome.broken += result.result.get("unexpected_index_list") or []
