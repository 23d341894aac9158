"""The page itself: one HTML file that needs neither a server nor a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from orrery.reports.calibration import EXACT, calibration_of
from orrery.reports.pictures import comparisons, plain
from orrery.reports.results import Results
from orrery.reports.tables import tables_of
from orrery.reports.units import bound, described, figure, labelled, numbers, span
from orrery.systems.base import System
from orrery.tracking.report import VersionFacts

HERE = "orrery.reports"


def render(
    results: Results,
    system: System[Any],
    facts: VersionFacts | None,
    runs: Mapping[str, Mapping[str, str]],
    commit: str,
) -> str:
    """A system's report as HTML.

    Every text of the results is escaped, the model card's own HTML included, and the page's policy lets nothing load
    or run but what is in this package: a hostile name stays a name.

    Args:
        results: of the pipeline.
        system: the system.
        facts: of the registered version; None where there is none.
        runs: run id -> its tags and seed.
        commit: of the code that makes the page.
    """
    style, script = (_source(name) for name in ("page.css", "page.js"))
    report = results.work.report(results.champion)
    return _environment().get_template("page.html").render(
        system=system,
        results=results,
        facts=facts,
        runs=runs,
        commit=commit,
        commits=sorted({str(row.get("commit", "unknown")) for row in results.rows}),
        seeds=max((int(row.get("seeds", 1)) for row in results.rows), default=0),
        data=sorted({str(row.get("data", "twin")) for row in results.rows}),
        tables=tables_of(results.rows),
        comparisons=comparisons(report),
        scenes=plain(report),
        plots=plain(results.work.reports / "pictures"),
        calibration=calibration_of(results.metrics[results.champion]),
        exact=EXACT,
        key_figures=_key_figures(results),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )  # fmt: skip


def _key_figures(results: Results) -> list[tuple[str, str]]:
    """Label and value of what promotion decides on: the primary metric and its guards."""
    if results.promotion is None:
        return []
    comparisons, rules = results.promotion.get("comparisons", {}), results.promotion.get("rules", {})
    names = [rules.get("metric"), *rules.get("guards", {})]
    return [
        (labelled(name), figure(comparisons[name].get("challenger"))) for name in names if name in comparisons
    ]


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(HERE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "figure": figure, "labelled": labelled, "described": described, "span": span, "markdown": markdown, "numbers": numbers,
    }  # fmt: skip
    made.globals["bound"] = bound
    return made


def markdown(text: str) -> Markup:
    """Markdown as HTML below a section's heading: HTML in it stays text, and it can load no picture."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(text)
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _source(name: str) -> str:
    return files(HERE).joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy under which only our own style and script count, and nothing is fetched."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
