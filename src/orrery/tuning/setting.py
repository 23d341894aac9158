"""One setting of a variant: flat, by dotted key, as the study knows it; and put over the section, as training knows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orrery.errors import OrreryError
from orrery.params import overlaid, validate
from orrery.systems.base import SystemSection
from orrery.tuning.params import Range, TuneParams

Setting = Mapping[str, Any]
"""Dotted key below the variant -> value."""


def variant_of(section: SystemSection) -> str:
    """The variant that is tuned."""
    return tune_params(section).variant or section.champion_variant


def tune_params(section: SystemSection) -> TuneParams:
    """What is searched.

    Raises:
        OrreryError: the section has no part `tune`.
    """
    if section.tune is None:
        raise OrreryError(
            "systems.<system>.tune is missing", file=Path("params.yaml"), remedy="say what to search: docs/how-to/tune.md"
        )  # fmt: skip
    return section.tune


def present(section: SystemSection) -> dict[str, Any]:
    """The setting that params.yaml and tuned/ give now.

    Raises:
        OrreryError: a key of the space is none of the variant's, or its value lies outside; or all loss weights are searched.
    """
    options, variant = tune_params(section), variant_of(section)
    tree = section.variants[variant].model_dump(mode="json")
    _one_weight_is_fixed(tree.get("losses", {}), options.space)
    found = {key: _value(tree, key, variant) for key in options.space}
    for key, each in distributions(options.space).items():
        if not each._contains(each.to_internal_repr(found[key])):
            raise OrreryError(
                f"systems.<system>.tune.space.{key}: the present {found[key]} lies outside",
                file=Path("params.yaml"),
                remedy="widen it: the first trial is the present setting",
            )
    return found


def _one_weight_is_fixed(losses: Mapping[str, float], space: Mapping[str, Range]) -> None:
    """A common factor of all weights changes nothing: a search over all of them would walk along it."""
    fixed = [weight for name, weight in losses.items() if f"losses.{name}" not in space and weight > 0]
    if any(key.startswith("losses.") for key in space) and 1.0 not in fixed:
        raise OrreryError(
            "systems.<system>.tune.space: no loss weight is fixed to 1",
            file=Path("params.yaml"),
            remedy="leave the one out that is 1",
        )


def _value(tree: Mapping[str, Any], key: str, variant: str) -> Any:
    value: Any = tree
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise OrreryError(
                f"systems.<system>.tune.space.{key}: {variant} has no such key",
                file=Path("params.yaml"),
                remedy="name it as below the variant, with dots",
            )
        value = value[part]
    return value


def distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """The space as Optuna has it."""
    found: dict[str, BaseDistribution] = {}
    for key, each in space.items():
        if each.choices is not None:
            found[key] = CategoricalDistribution(each.choices)
        elif each.integer:
            found[key] = IntDistribution(int(each.low or 0), int(each.high or 0), log=each.log)
        else:
            found[key] = FloatDistribution(float(each.low or 0), float(each.high or 0), log=each.log)
    return found


def drawn(trial: optuna.Trial, space: Mapping[str, Range]) -> dict[str, Any]:
    """A setting to try."""
    found: dict[str, Any] = {}
    for key, each in distributions(space).items():
        if isinstance(each, CategoricalDistribution):
            found[key] = trial.suggest_categorical(key, each.choices)
        elif isinstance(each, IntDistribution):
            found[key] = trial.suggest_int(key, each.low, each.high, log=each.log)
        elif isinstance(each, FloatDistribution):
            found[key] = trial.suggest_float(key, each.low, each.high, log=each.log)
    return found


def nested(setting: Setting) -> dict[str, Any]:
    """As a tree below the variant."""
    tree: dict[str, Any] = {}
    for key, value in setting.items():
        *parents, leaf = key.split(".")
        place = tree
        for part in parents:
            place = place.setdefault(part, {})
        place[leaf] = value
    return tree


def with_setting(section: SystemSection, setting: Setting, steps: int | None = None) -> SystemSection:
    """The section with another setting of the tuned variant, validated; `steps` shortens its training."""
    variant, short = variant_of(section), {"optimiser": {"steps": steps}} if steps else {}
    tree = overlaid(section.model_dump(), {"variants": {variant: overlaid(nested(setting), short)}})
    return validate(type(section), tree, file=Path("params.yaml"), at="systems.<system>")
