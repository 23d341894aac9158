"""promote: move the champion's alias by the rules of params.yaml."""

from __future__ import annotations

from pathlib import Path

import click

from orrery.files import write_json
from orrery.params import load_params
from orrery.systems.base import Trained, Workspace, get_section, get_system
from orrery.systems.scores import Scores, scores
from orrery.tracking import promotion
from orrery.tracking.registry import LoadedModel


def run(
    system: str,
    version: str | None,
    *,
    dry_run: bool,
    rollback: bool,
    history: bool,
    allow_refusal: bool,
    summary: Path | None = None,
) -> int:
    """Promote, roll back or list; return the exit status: 1 for a refusal, unless that is allowed."""
    if history:
        for event in promotion.history(system):
            click.echo(event.message())
        return 0
    if rollback:
        click.echo(promotion.rollback(system).message())
        return 0
    params, work = load_params(), Workspace(system)
    section, owner = get_section(params, system), get_system(system)

    def evaluate(model: LoadedModel) -> Scores:
        trained = Trained(model.network, model.recipe)
        return scores(owner.evaluate(trained, work.aligned, section, None))

    verdict = promotion.promote(system, section.promotion, evaluate, version=version, dry_run=dry_run)
    click.echo(verdict.message() + (" (dry run: nothing was changed)" if dry_run else ""))
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(verdict.markdown())
    if not dry_run:
        write_json(work.reports / "promotion.json", verdict.to_dict())
    return 0 if verdict.promoted or allow_refusal else 1
