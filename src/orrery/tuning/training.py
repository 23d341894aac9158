"""A setting trained and judged: on the validation scenes, by the system's own evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl
import torch

from orrery.attempt import Attempt
from orrery.devices import best_device, lent
from orrery.errors import OrreryError
from orrery.files import read_as, remove, write_json
from orrery.params import Params, validate
from orrery.systems.base import System, SystemSection, Trained, Workspace
from orrery.systems.scores import Scores, scores
from orrery.tracking.runs import training_run
from orrery.training import fit
from orrery.tuning.params import TuneParams
from orrery.tuning.setting import Setting, variant_of, with_setting


@dataclass(frozen=True)
class TuningWorkspace(Workspace):
    """Like the system's, but trainings of a study have their own scratch folders.

    Attributes:
        name: of the training.
    """

    name: str = ""

    def scratch(self, variant: str, replica: int = 0) -> Path:
        """Checkpoints of this training."""
        return folder(self) / "trainings" / self.name


def folder(work: Workspace) -> Path:
    """Where a study keeps what must outlive a kill."""
    return work.root / "build" / work.system / "tuning"


def scored(
    owner: System[Any],
    params: Params,
    section: SystemSection,
    setting: Setting,
    replica: int,
    callbacks: Sequence[pl.Callback] = (),
    tags: dict[str, str] | None = None,
    steps: int | None = None,
) -> Scores:
    """Train a setting and judge it on the validation scenes; what was begun before a kill goes on, what was finished is kept.

    Args:
        owner: the system.
        params: the whole tree.
        section: the system's.
        setting: to train.
        replica: which seed.
        callbacks: that may stop the training.
        tags: of its run.
        steps: length of the training [default: the variant's].
    """
    params = _on_one_device(params)
    ours, variant = with_setting(section, setting, steps), variant_of(section)
    key = hashlib.sha256(
        json.dumps([ours.model_dump(mode="json"), params.seed, replica], sort_keys=True).encode()
    ).hexdigest()[:16]
    work = TuningWorkspace(owner.name, name=key)
    done = folder(work) / "scores" / f"{key}.json"
    if done.exists():
        return read_as(done, Scores, "a file of scores", "delete it to judge again")
    attempt = Attempt(work.scratch(variant), key)
    pruned: optuna.TrialPruned | None = None
    with training_run(
        owner.name, variant, params, attempt=attempt.begin(), data=work.patches, replica=replica, tags=tags
    ) as tracked:
        try:
            task = fit(owner, ours, variant, params, work, tracked.lightning_logger(), replica, callbacks)
        except optuna.TrialPruned as told:  # an end as good as another: the run has not failed
            pruned = told
    if pruned:
        remove(attempt.scratch)
        raise pruned
    found = _judged(owner, ours, variant, task, work, best_device(params.train.accelerator))
    write_json(done, found)
    remove(attempt.scratch)
    return found


def _on_one_device(params: Params) -> Params:
    """Workers share a study; a training that started this very command again for each device would start studies."""
    return params.model_copy(update={"train": params.train.model_copy(update={"devices": 1})})


def _judged(
    owner: System[Any],
    section: SystemSection,
    variant: str,
    task: pl.LightningModule,
    work: Workspace,
    device: torch.device,
) -> Scores:
    """Metrics of each validation scene."""
    network = owner.network(section, variant)
    network.load_state_dict(task.net.state_dict())  # type: ignore[union-attr]
    with lent(task.net, device):  # type: ignore[arg-type]
        recipe = {**owner.recipe(task, work.patches, section, variant), "name": "tuning"}
    with lent(network.eval(), device):
        found = owner.evaluate(Trained(network, recipe), work.aligned, judged_by_validation(section), None)
    return scores(found)


def judged_by_validation(section: SystemSection) -> SystemSection:
    """The section in which the validation scenes are those that are judged; the test scenes are out of sight."""
    split = section.model_dump()["split"]
    others = [pattern for name in ("train", "test", "extra") for pattern in split.get(name, [])]
    tree = section.model_dump() | {
        "split": {"train": others, "validation": [], "test": split["validation"], "extra": []}
    }
    return validate(type(section), tree, file=Path("params.yaml"), at="systems.<system>")


def means(found: Scores, options: TuneParams) -> list[float]:
    """The objectives, as means over scenes.

    Raises:
        OrreryError: a scene lacks one of them.
    """
    values = []
    for objective in options.objectives:
        lacking = [scene for scene, row in found.items() if objective.metric not in row]
        if lacking or not found:
            known = sorted({name for row in found.values() for name in row})
            raise OrreryError(
                f"systems.<system>.tune.objectives: {objective.metric} is not told of {', '.join(lacking) or 'any scene'}",
                file=Path("params.yaml"),
                remedy=f"choose among {', '.join(known) or 'the metrics of validation scenes, of which there are none'}",
            )
        values.append(sum(row[objective.metric] for row in found.values()) / len(found))
    return values
