"""The page itself: one HTML file that needs neither a server nor a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from markdown_it import MarkdownIt

from orrery.errors import OrreryError
from orrery.reports.calibration import EXACT, calibration_of
from orrery.reports.pictures import comparisons, plain
from orrery.reports.results import Results
from orrery.reports.tables import tables_of
from orrery.reports.units import bound, described, figure, labelled, span
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

    Raises:
        OrreryError: a picture is damaged, or a file was written by another version of a stage.
    """
    try:
        return _environment().get_template("page.html").render(_content(results, system, facts, runs, commit))
    except UndefinedError as error:
        problem, remedy = f"lacks what a report needs ({error})", f"run `dvc repro promote@{system.name}`"
        raise OrreryError(problem, file=results.work.reports, remedy=remedy) from error


def _content(
    results: Results,
    system: System[Any],
    facts: VersionFacts | None,
    runs: Mapping[str, Mapping[str, str]],
    commit: str,
) -> dict[str, Any]:
    """What the template is filled with."""
    style, script = (_source(name) for name in ("page.css", "page.js"))
    report = results.work.report(results.champion)
    return {
        "system": system,
        "results": results,
        "facts": facts,
        "runs": runs,
        "commit": commit,
        "commits": sorted({str(row.get("commit", "unknown")) for row in results.rows}),
        "seeds": max((int(row.get("seeds", 1)) for row in results.rows), default=0),
        "data": sorted({str(row.get("data", "twin")) for row in results.rows}),
        "tables": tables_of(results.rows),
        "comparisons": comparisons(report),
        "scenes": plain(report),
        "plots": plain(results.work.reports / "pictures"),
        "calibration": calibration_of(results.metrics[results.champion]),
        "exact": EXACT,
        "key_figures": _key_figures(results),
        "conditions": _conditions((results.promotion or {}).get("rules", {})),
        "style": style,
        "script": script,
        "policy": _policy(style, script),
    }


def _key_figures(results: Results) -> list[tuple[str, str, str]]:
    """Label, value and whose it is, of what promotion decides on: the primary metric and its guards.

    They are those of the version that was left champion; of a first version that was refused its own.
    """
    verdict = results.promotion
    if verdict is None:
        return []
    comparisons, rules = verdict.get("comparisons", {}), verdict.get("rules", {})
    kept = verdict.get("champion") and not verdict.get("promoted")
    whose = f"version {verdict.get('champion' if kept else 'version')}, mean of the test scenes"
    return [
        (labelled(name), figure(comparisons[name].get("champion" if kept else "challenger")), whose)
        for name in dict.fromkeys((rules.get("metric"), *rules.get("guards", {})))
        if name in comparisons
    ]


def _conditions(rules: Mapping[str, Any]) -> list[str]:
    """What a version must keep to besides its metrics, where the rules ask for it."""
    told = {
        "evidence": "evidence {}, unchanged since registration",
        "gates": "the expectations {} of the gate passed",
        "same_data": "trained on the present data",
        "max_age_days": "trained at most {} d ago",
        "max_slowdown": "at most {} times the champion's processor time",
        "max_growth": "at most {} times its bytes",
    }
    listed = {
        name: ", ".join(rule) if isinstance(rule, list) else figure(rule) for name, rule in rules.items()
    }
    return [text.format(listed[name]) for name, text in told.items() if rules.get(name)]


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(HERE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "figure": figure, "labelled": labelled, "described": described, "span": span, "markdown": markdown,
    }  # fmt: skip
    made.globals["bound"] = bound
    return made


def markdown(text: str) -> str:
    """Markdown as HTML below a section's heading: HTML in it stays text, and it can load no picture."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(text)
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    return str(reader.renderer.render(tokens, reader.options, {}))


def _source(name: str) -> str:
    return files(HERE).joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy under which only our own style and script count, and nothing is fetched."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
