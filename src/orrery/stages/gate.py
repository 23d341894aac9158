"""gate: judge the table of aligned pairs; a critical failure stops the pipeline."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from orrery.errors import OrreryError
from orrery.files import reading, write_json
from orrery.gates import judge
from orrery.params import load_params
from orrery.systems.base import Workspace, get_section


def read_pairs(path: Path) -> pd.DataFrame:
    """What the align stage measured, one row a pair.

    Raises:
        OrreryError: the table is missing or damaged.
    """
    with reading(path, "a table of pairs", "run the align stage again"), path.open("rb") as stream:
        return pd.read_parquet(stream)


def run(system: str) -> None:
    """Write reports/gates/<system>.json and the Data Docs beside it.

    Raises:
        OrreryError: a critical expectation failed; the message names the scenes.
    """
    params, work = load_params(), Workspace(system)
    table = read_pairs(work.aligned / "pairs.parquet")
    expectations = get_section(params, system).gate
    verdict = judge(table, expectations, docs=work.gate_verdict.with_name(f"{system}-docs"))
    write_json(work.gate_verdict, verdict.to_dict())
    if not verdict.passed:
        raise OrreryError(
            verdict.message(),
            file=work.gate_verdict,
            remedy=f"look at {system}-docs/index.html beside it, then remove or re-align these scenes",
        )
    click.echo(verdict.message())
