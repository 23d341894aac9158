"""report: one page a system with everything that the pipeline found out about it."""

from __future__ import annotations

import click

from orrery.errors import OrreryError
from orrery.files import write_text
from orrery.params import Params, load_params
from orrery.reports.page import render
from orrery.reports.results import Results, has_results, read_results
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.provenance import git_commit
from orrery.tracking.report import PAGE, VersionFacts, publish, run_facts, version_facts
from orrery.tracking.root import checkout_root


def run(system: str | None) -> None:
    """Write reports/<system>/report.html of one system, or of all that have results; log it and link it in the registry.

    Raises:
        OrreryError: there are no results.
    """
    params = load_params()
    names = [system] if system else [name for name in params.systems if has_results(Workspace(name))]
    if not names:
        raise OrreryError("holds no results", file="reports", remedy="run `make repro` first")
    for name in names:
        click.echo(_report(name, params))


def _report(name: str, params: Params) -> str:
    """Make one page; return what was done, in one line."""
    work = Workspace(name)
    results = read_results(work, get_section(params, name))
    facts, runs, missing = _registered(results)
    page = work.reports / PAGE
    write_text(page, render(results, get_system(name), facts, runs, git_commit(checkout_root())))
    if facts is None:
        return f"{page} (without a registered version: {missing})"
    return f"{page}, logged as {publish(facts, page)}"


def _registered(results: Results) -> tuple[VersionFacts | None, dict[str, dict[str, str]], str]:
    """The registered version and the runs, or why there are none: a page of the figures stands without them."""
    try:
        runs = run_facts([training.run_id for training in results.trainings])
        return version_facts(results.work.system), runs, ""
    except OrreryError as error:
        return None, {}, str(error)
