"""Judging a table of measured pairs: Great Expectations decides, this module asks and reports.

Great Expectations takes seconds to import, so it is loaded on the first call only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from orrery.files import replacing
from orrery.gates.expectations import ExpectationParams
from orrery.gates.verdict import Failure, Judgement, Verdict

if TYPE_CHECKING:
    from orrery.gates.validation import Outcome


def judge(
    table: pd.DataFrame,
    expectations: Mapping[str, ExpectationParams],
    *,
    key: Sequence[str] = ("scene", "pair"),
    docs: Path | None = None,
) -> Verdict:
    """Judge every row of a table against named expectations.

    Beside the expectations the table itself is judged: it has rows, it has every column that is named, and its
    key is unique.

    Args:
        table: one row a pair; measured columns are numbers in the unit that their name ends in.
        expectations: name -> expectation.
        key: columns that name a row.
        docs: folder for the Data Docs (HTML); replaced as a whole.

    Returns:
        the verdict; `verdict.passed` is False when anything critical failed.

    Raises:
        OrreryError: `docs` cannot be written.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the package is imported
    from orrery.gates.validation import validate

    with replacing(docs) if docs else nullcontext() as folder:
        structure, outcomes = validate(_finite(table, expectations), expectations, key=key, docs=folder)
    judgements = tuple(
        _judgement(name, expectations[name], outcomes.get(name)) for name in sorted(expectations)
    )
    return Verdict(rows=len(table), structure=tuple(structure), judgements=judgements)


def _finite(table: pd.DataFrame, expectations: Mapping[str, ExpectationParams]) -> pd.DataFrame:
    """The table with every judged column as float64; what is no finite number becomes NaN, hence a failure."""
    judged = {item.column for item in expectations.values()} & set(table.columns)
    numbers = {column: pd.to_numeric(table[column], errors="coerce").astype("float64") for column in judged}
    return table.assign(**{column: values.where(np.isfinite(values)) for column, values in numbers.items()})


def _judgement(name: str, expectation: ExpectationParams, outcome: Outcome | None) -> Judgement:
    """Ours out of theirs; `outcome` is None where a column was missing, which `Verdict.structure` tells."""
    if outcome is None:
        return Judgement(name, expectation, rows=0, passed=False, failures=())
    failures = sorted(
        (_failure(row, expectation) for row in outcome.broken), key=lambda item: [*item.row.values()]
    )
    passed = outcome.passed and (outcome.rows > 0 or expectation.optional)
    return Judgement(name, expectation, rows=outcome.rows, passed=passed, failures=tuple(failures))


def _failure(row: Mapping[str, object], expectation: ExpectationParams) -> Failure:
    value = row[expectation.column]
    number = float(value) if isinstance(value, int | float) and np.isfinite(value) else None
    named = {name: str(entry) for name, entry in row.items() if name != expectation.column}
    return Failure(row=named, value=number, problem=expectation.broken_by(number))
