"""params.yaml as a validated, frozen, typed tree.

The file is read as YAML 1.2 (as DVC reads it, so ``1e-3`` is a number). An unknown key, a string where a number
belongs or a negative length is refused with the path of the key before any work starts. `scale: full` lays
params.full.yaml, beside it, over the rest; nothing else switches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from orrery.errors import OrreryError
from orrery.files import reading
from orrery.section import Count, Degrees, Fraction, Incidence, NonNegative, Positive, Section
from orrery.world_params import IngestParams

__all__ = [
    "OVERLAY",
    "TUNED",
    "Count",
    "Degrees",
    "Fraction",
    "GuardParams",
    "Incidence",
    "IngestParams",
    "ModelRef",
    "NonNegative",
    "Params",
    "Positive",
    "PromotionParams",
    "Section",
    "TrackingParams",
    "TrainParams",
    "load_params",
    "overlaid",
    "read_yaml",
    "validate",
]
T = TypeVar("T", bound=BaseModel)
TUNED = "tuned"  # folder of what tuning has confirmed, a file a system
OVERLAY = "params.full.yaml"  # a file of its own, so that a stage can depend on it and its lock tell a hash


class TrainParams(Section):
    """How every model is trained, whatever the system."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Count = 1
    seeds: Annotated[Count, Field(description="trainings of each model, for the spread of its figures")] = 1
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    threads: Count = 2
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_every_steps: Count = 100
    log_every_steps: Count = 10
    validations: Count = 4
    keep: Literal["last", "best"] = "last"


class TrackingParams(Section):
    """Where runs are mirrored besides MLflow."""

    wandb: Literal["off", "offline", "online"] = "off"
    wandb_project: str = "orrery"


class OptimiserParams(Section):
    """Optimiser, schedule and length of one training."""

    steps: Count
    batch_size: Count
    learning_rate: Positive
    weight_decay: NonNegative
    schedule: Literal["cosine", "step", "constant"]
    warmup_steps: Annotated[int, Field(ge=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: Positive


class ModelRef(Section):
    """One trained model of the pipeline: which variant of which system."""

    system: str
    variant: str
    code: Annotated[str, Field(description="as the system's: DVC cannot look it up")]


class GuardParams(Section):
    """A metric that must not suffer, whatever the decisive one gains.

    Bounds hold for a first version too; worsening is judged against the champion.

    Attributes:
        max_relative_worsening: against the champion.
        greater_is_better: of the metric.
        minimum: smallest value allowed.
        maximum: largest value allowed.
        groups: patterns of scene names, e.g. one a terrain or a region; each group is judged by itself, besides all scenes.
        reason: why it is guarded.
    """

    max_relative_worsening: NonNegative | None = None
    greater_is_better: bool = False
    minimum: float | None = None
    maximum: float | None = None
    groups: list[str] = Field(default_factory=list)
    reason: str


class PromotionParams(Section):
    """What a challenger must show to become champion.

    Attributes:
        metric: decisive one.
        greater_is_better: of it.
        min_relative_improvement: over the champion; where models were trained with several seeds, beyond their interval too.
        confidence: of the intervals.
        resamples: of scenes, in pairs.
        guards: by metric.
        evidence: patterns of files that a version must come with.
        gates: expectations that the gate's verdict must hold, passed.
        same_data: whether it must have been trained on what data.dvc names now.
        max_age_days: of the training; an older model is trained again, not promoted.
        max_slowdown: processor time of the evaluation against the champion's, in the same process; 2 is twice as long.
        max_growth: bytes of the network against the champion's.
    """

    metric: str
    greater_is_better: bool = False
    min_relative_improvement: NonNegative = 0.0
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    resamples: Count = 2000
    guards: dict[str, GuardParams] = Field(default_factory=dict)
    evidence: list[str] = Field(default_factory=lambda: ["model_card.md", "gate.json"])
    gates: list[str] = Field(default_factory=list)
    same_data: bool = False
    max_age_days: Positive | None = None
    max_slowdown: Annotated[float, Field(ge=1)] | None = None
    max_growth: Annotated[float, Field(ge=1)] | None = None


class Params(Section):
    """The whole of params.yaml after `scale` has been applied; `systems` holds each system's own section."""

    scale: Literal["demo", "full"]
    seed: Annotated[int, Field(ge=0)]
    ingest: IngestParams
    train: TrainParams
    tracking: TrackingParams
    models: dict[str, ModelRef]
    systems: dict[str, dict[str, Any]]

    def digest(self) -> str:
        """SHA-256 of the resolved parameters, independent of key order and comments."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def load_params(path: Path = Path("params.yaml"), scale: Literal["demo", "full"] | None = None) -> Params:
    """Read and validate a parameter file, each system's section included.

    Args:
        path: of the file.
        scale: instead of the one that it names.

    Raises:
        OrreryError: the file is missing, is not YAML, or breaks the schema; the message names the key.
    """
    tree = read_yaml(path)
    if scale is not None:
        tree["scale"] = scale
    if tree.get("scale") == "full":
        tree = overlaid(tree, read_yaml(path.with_name(OVERLAY)))
    params = validate(Params, tree, file=path)
    params = _tuned(params, path.parent / TUNED)
    _check_models(params, path)
    return params


def _tuned(params: Params, folder: Path) -> Params:
    """What tuning has confirmed for the present scale lies over the systems' sections."""
    found = {}
    for name, section in params.systems.items():
        file = folder / f"{name}.yaml"
        tree = (read_yaml(file) if file.exists() else {}).get(params.scale)
        if tree is not None and not isinstance(tree, dict):
            raise OrreryError(
                f"{params.scale}: holds no mapping", file=file, remedy="restore the file from git"
            )
        for key in set(tree or {}) - {"variants"}:
            raise OrreryError(
                f"{params.scale}.{key}: tuning changes variants alone", file=file, remedy="remove it"
            )
        found[name] = overlaid(section, tree or {})
    return params.model_copy(update={"systems": found})


def validate(schema: type[T], tree: Any, *, file: Path, at: str = "") -> T:
    """Build `schema` from plain data; every complaint names the path of its key."""
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        complaints = [
            f"{'.'.join([at] * bool(at) + [str(part) for part in item['loc']])}: {item['msg'].lower()}"
            for item in error.errors()
        ]
        raise OrreryError("; ".join(complaints), file=file, remedy="correct these keys") from error


def overlaid(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the leaves of `overlay` put over it; mappings merge, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlaid(merged[key], value) if both else value
    return merged


def parse_yaml(text: str) -> Any:
    """Plain data from YAML 1.2.

    Raises:
        ValueError: the text is something else.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML 1.2 file.

    Raises:
        OrreryError: the file is missing, or holds something else.
    """
    if not path.exists():
        raise OrreryError("does not exist", file=path, remedy="run inside a clone of the project")
    with reading(path, "YAML 1.2", "correct the line named"):
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise OrreryError("holds no mapping", file=path, remedy="restore the file from git") from None
    return tree


def _check_models(params: Params, path: Path) -> None:
    """Every model must name a system and one of its variants: found here, not an hour into the pipeline."""
    for name, model in params.models.items():
        variants = params.systems.get(model.system, {}).get("variants", {})
        if model.code != params.systems.get(model.system, {}).get("code"):
            problem = f"models.{name}.code: not the `code` of systems.{model.system}"
            raise OrreryError(problem, file=path, remedy="let both name the folder of the system's code")
        if model.variant not in variants or name != f"{model.system}-{model.variant}":
            raise OrreryError(
                f"models.{name}: no variant {model.variant!r} of a system {model.system!r}, or the name is not theirs",
                file=path,
                remedy="name it <system>-<variant> and describe the variant under systems.<system>.variants",
            )
