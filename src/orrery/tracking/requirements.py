"""What a version must bring besides better figures: evidence, a passed gate, the present data, youth, speed and size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np
from mlflow.entities.model_registry import ModelVersion

from orrery.files import read_json, sha256
from orrery.params import PromotionParams
from orrery.tracking.export import ARCHIVE
from orrery.tracking.provenance import tracked_md5
from orrery.tracking.registry import EVIDENCE, GATE, LoadedModel, artifacts
from orrery.tracking.root import checkout_root
from orrery.tracking.rules import Refusal, Scenes

METRICS = "metrics.json"
DAY_S = 86400.0


@dataclass(frozen=True)
class Timed:
    """An evaluation and the processor time that it took, s."""

    scenes: Scenes
    seconds: float

    @classmethod
    def of(cls, evaluate: Callable[[LoadedModel], Scenes], model: LoadedModel) -> Timed:
        """Evaluate a model in this process."""
        started = time.process_time()
        scenes = evaluate(model)
        return cls(scenes, time.process_time() - started)


def lacking(version: ModelVersion, rules: PromotionParams) -> list[Refusal]:
    """What is missing from the evidence of a version, or was changed since it was registered; and what its gate says."""
    folder, known = artifacts(version) / EVIDENCE, _known(version)
    refusals = [
        Refusal("evidence", f"evidence {wanted} is missing")
        for wanted in rules.evidence
        if not any(fnmatch(name, wanted) for name in known)
    ]
    for name, digest in sorted(known.items()):
        if not (folder / name).exists() or sha256(folder / name) != digest:
            refusals.append(Refusal("changed", f"evidence {name} is not what was registered"))
    if refusals or GATE not in known:
        return refusals
    return _gate(read_json(folder / GATE), rules)


def _known(version: ModelVersion) -> dict[str, str]:
    """File of the evidence -> SHA-256, as registered."""
    tags = version.tags.items()
    return {name.removeprefix(f"{EVIDENCE}/"): each for name, each in tags if name.startswith(f"{EVIDENCE}/")}


def _gate(verdict: Mapping[str, Any], rules: PromotionParams) -> list[Refusal]:
    if verdict.get("passed") is not True:
        return [Refusal("gate", "the gate's verdict on its data is not passed")]
    judged = verdict.get("expectations", {})
    return [
        Refusal("gate", f"the gate's verdict does not hold that {name} is passed")
        for name in rules.gates
        if judged.get(name, {}).get("passed") is not True
    ]


def outdated(version: ModelVersion, rules: PromotionParams, now_s: float | None = None) -> list[Refusal]:
    """Whether a version is of other data than the clone's, or older than the rules allow."""
    refusals = []
    trained_on, present = version.tags.get("data.md5", "unknown"), tracked_md5(checkout_root() / "data.dvc")
    if rules.same_data and trained_on != present:
        refusals.append(Refusal("data", f"it was trained on data {trained_on}, data.dvc names {present}"))
    age_days = ((now_s or time.time()) - version.creation_timestamp / 1000) / DAY_S
    if rules.max_age_days is not None and age_days > rules.max_age_days:
        refusals.append(
            Refusal("age", f"it is {age_days:.0f} days old, at most {rules.max_age_days:g} are allowed")
        )
    return refusals


def seed_means(version: ModelVersion, rules: PromotionParams) -> list[float]:
    """The decisive metric of each training of a version, as a mean over its test scenes; empty where its evidence has none."""
    path = artifacts(version) / EVIDENCE / METRICS
    if not path.exists():
        return []
    told = read_json(path)
    found = []
    for each in (told, *told.get("replicas", [])):
        values = [
            row[rules.metric]
            for row in each.get("scenes", {}).values()
            if row.get("set") == "test" and isinstance(row.get(rules.metric), float)
        ]
        if values:
            found.append(float(np.mean(values)))
    return found


def dearer(rules: PromotionParams, seconds: tuple[float, float], sizes: tuple[int, int]) -> list[Refusal]:
    """Whether a challenger takes more time or bytes than allowed; each pair is challenger's, champion's."""
    refusals = []
    slower, larger = seconds[0] / max(seconds[1], 1e-9), sizes[0] / max(sizes[1], 1)
    if rules.max_slowdown is not None and slower > rules.max_slowdown:
        told = f"its evaluation takes {seconds[0]:.1f} s, {slower:.1f} times the champion's, at most {rules.max_slowdown:g} is allowed"
        refusals.append(Refusal("slow", told))
    if rules.max_growth is not None and larger > rules.max_growth:
        told = f"its network has {sizes[0] / 2**20:.2f} MiB, {larger:.1f} times the champion's, at most {rules.max_growth:g} is allowed"
        refusals.append(Refusal("large", told))
    return refusals


def network_bytes(version: ModelVersion) -> int:
    """Size of a version's network on disk."""
    return (artifacts(version) / ARCHIVE).stat().st_size
