"""train: one variant of one system, tracked, resumed after a kill."""

from __future__ import annotations

import click

from orrery.params import load_params
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.runs import training_run
from orrery.training import begin, finish, fit, remember


def run(system: str, variant: str) -> None:
    """Write models/<system>/<variant>/{weights.safetensors, recipe.json, run.json}; log one MLflow run."""
    params, work = load_params(), Workspace(system)
    section, task_system = get_section(params, system), get_system(system)
    key = training_key(work, params.digest())
    resumed = begin(work, variant, key)
    if resumed:
        click.echo(f"{system} {variant}: continuing run {resumed} from its last checkpoint")
    with training_run(system, variant, params, run_id=resumed, data=work.patches) as tracked:
        remember(work, variant, key, tracked.run_id)
        task = fit(task_system, section, variant, params, work, tracked.lightning_logger())
        recipe = task_system.recipe(task, work.patches, section, variant)
        finish(task, recipe, {"run_id": tracked.run_id, "system": system, "variant": variant}, work, variant)
        tracked.log_artifacts(work.model(variant), "model")


def training_key(work: Workspace, params_digest: str) -> str:
    """What a checkpoint belongs to: the parameters and the index of the patches."""
    from orrery.files import sha256

    return f"{params_digest}-{sha256(work.patches / 'index.parquet')}"
