"""train: one variant of one system, once a seed, tracked, resumed after a kill."""

from __future__ import annotations

import shutil

import click

from orrery.attempt import Attempt
from orrery.devices import best_device, lent
from orrery.distributed import first_before_others, rank
from orrery.files import existing, remove, replacing, sha256, write_json
from orrery.params import Params, load_params
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.runs import training_run
from orrery.training import fit


def run(system: str, variant: str) -> None:
    """Write models/<system>/<variant>/{weights.safetensors, recipe.json, run.json}, and seed-<k>/ for further seeds.

    Each seed is an MLflow run. What was finished or begun before a kill, with the same parameters and patches, is kept.
    On several devices every process comes through here; only the first one writes.
    """
    params, work = load_params(), Workspace(system)
    replicas = range(params.train.seeds)
    trained = [_train(system, variant, params, work, replica).trained for replica in replicas]
    if rank() > 0:
        return
    with replacing(work.model(variant)) as temporary:
        for replica, folder in enumerate(trained):
            shutil.copytree(folder, temporary / f"seed-{replica}" if replica else temporary)
    remove(work.scratch(variant).parent)


def _train(system: str, variant: str, params: Params, work: Workspace, replica: int) -> Attempt:
    section, task_system = get_section(params, system), get_system(system)
    key = f"{params.digest()}-{sha256(existing(work.patches / 'index.parquet'))}"
    attempt = Attempt(work.scratch(variant, replica), key)
    with first_before_others():
        name = attempt.begin()
    if attempt.kept.exists():
        return attempt
    with training_run(system, variant, params, attempt=name, data=work.patches, replica=replica) as tracked:
        if attempt.checkpoint.exists() and rank() == 0:
            click.echo(f"{system} {variant}: continuing run {tracked.run_id} from its last checkpoint")
        made = {"run_id": tracked.run_id, "system": system, "variant": variant}
        if not attempt.trained.exists():
            task = fit(task_system, section, variant, params, work, tracked.lightning_logger(), replica)
            with lent(task.net, best_device(params.train.accelerator)):  # type: ignore[arg-type] # calibrates the 1-sigma
                recipe = task_system.recipe(task, work.patches, section, variant)
            attempt.finish(task, recipe, made)
        elif rank() == 0:  # the training ended, its run did not; where that was deleted, this is another one
            write_json(attempt.trained / "run.json", made)
        tracked.log_artifacts(attempt.trained, "model")
    attempt.keep()
    return attempt
