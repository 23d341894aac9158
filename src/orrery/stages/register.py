"""register: a trained variant into the model registry, with its evidence."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from orrery.files import existing, read_as, read_json, read_text_of, reading, write_json, write_text
from orrery.params import Params, load_params
from orrery.stages.trained import load_network, load_recipe
from orrery.systems.base import Workspace, get_section, get_system
from orrery.systems.scores import Scores, scores
from orrery.tracking.card import model_card
from orrery.tracking.provenance import run_tags
from orrery.tracking.registry import register
from orrery.tracking.root import checkout_root


def run(system: str, variant: str) -> None:
    """Register models/<system>/<variant>; write reports/<system>/registered.json."""
    params, work = load_params(), Workspace(system)
    section, owner = get_section(params, system), get_system(system)
    network = load_network(owner, section, variant, work)
    run_id = read_text_of(work.model(variant) / "run.json", "run_id")
    with TemporaryDirectory() as folder:
        evidence = Path(folder) / "evidence"
        _gather(evidence, work, variant, owner.summary, owner.limits, params)
        example = owner.example(section, variant)
        version = register(system, network, example, load_recipe(variant, work), evidence, run_id)
    write_json(
        work.reports / "registered.json",
        {"system": system, "variant": variant, "version": version, "run_id": run_id},
    )
    click.echo(f"{system} version {version} ({variant}) is registered as challenger")


def _gather(
    out: Path, work: Workspace, variant: str, summary: str, limits: tuple[str, ...], params: Params
) -> None:
    """Evaluation with its pictures, tables, gate verdict and a model card, in one folder."""
    shutil.copytree(work.report(variant), out)
    shutil.copy(work.reports / "tables.json", out)
    shutil.copytree(existing(work.reports / "pictures"), out / "pictures")
    verdict = read_as(work.gate_verdict, dict[str, Any], "a verdict of the gate", "run the gate again")
    write_json(out / "gate.json", verdict)
    tags = run_tags(work.system, variant, params.digest(), checkout_root())
    told = read_as(work.model(variant) / "run.json", dict[str, Any], "the facts of a training")
    run = told | {"seed": str(params.seed), "scale": params.scale}
    card = model_card(
        system=work.system,
        variant=variant,
        summary=summary,
        run={name: str(value) for name, value in run.items()},
        data={name: value for name, value in tags.items() if name.startswith(("data.", "git."))},
        metrics=_by_scene(work.report(variant) / "metrics.json"),
        gate=verdict,
        limits=limits,
    )
    write_text(out / "model_card.md", card)


def _by_scene(path: Path) -> Scores:
    metrics = read_json(path)
    with reading(path, "an evaluation", "run evaluate again"):
        return scores(metrics)
