"""When a challenger may become champion: rules as data, decided on the same scenes for both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orrery.params import GuardParams, PromotionParams
from orrery.seeds import stream

Values = NDArray[np.float64]
Scenes = Mapping[str, Mapping[str, float]]
"""Scene -> metric -> value."""
Seeds = Sequence[float]
"""The decisive metric, as a mean over scenes, of each training of a model."""
Code = Literal[
    "no scene", "other scenes", "unmeasured", "too little", "chance", "bound", "worse", "worse in a group",
    "evidence", "changed", "gate", "data", "age", "slow", "large",
]  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """One ground for a refusal.

    Attributes:
        code: its kind, for machines.
        text: one sentence, for people.
    """

    code: Code
    text: str


@dataclass(frozen=True)
class Comparison:
    """One metric of challenger and champion over the same scenes.

    Attributes:
        metric: its name, unit included.
        challenger: mean over the scenes.
        champion: likewise; None for a first version.
        improvement: relative, positive where the challenger is better; None for a first version.
        interval: of the improvement, by resampling scenes in pairs; None for a first version.
    """

    metric: str
    challenger: float
    champion: float | None = None
    improvement: float | None = None
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        interval = list(self.interval) if self.interval else None
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "improvement": self.improvement,
            "interval": interval,
        }


def decide(
    rules: PromotionParams,
    challenger: Scenes,
    champion: Scenes | None,
    seeds: tuple[Seeds, Seeds] = ((), ()),
) -> tuple[list[Comparison], list[Refusal]]:
    """Compare metric by metric; return the comparisons and the grounds for a refusal, none if it may be promoted.

    Args:
        rules: see `PromotionParams`.
        challenger: its values.
        champion: its values on the same scenes; None for a first version.
        seeds: of challenger and champion, where they were trained with several.
    """
    if refusals := _unusable(rules, challenger, champion):
        return [], refusals
    first = _compare(rules, rules.metric, rules.greater_is_better, challenger, champion)
    guarded = {
        name: _compare(rules, name, guard.greater_is_better, challenger, champion)
        for name, guard in rules.guards.items()
    }
    refusals = _too_little(rules, first, seed_half_width(rules, *seeds))
    for name, guard in rules.guards.items():
        refusals += _harmed(guard, guarded[name]) or _harmed_groups(rules, name, guard, challenger, champion)
    return [first, *(comparison for name, comparison in guarded.items() if name != rules.metric)], refusals


def _unusable(rules: PromotionParams, challenger: Scenes, champion: Scenes | None) -> list[Refusal]:
    """Why no comparison is possible: other scenes, or metrics that are missing or not finite."""
    if not challenger:
        return [Refusal("no scene", "no scene was evaluated")]
    if champion is not None and set(champion) != set(challenger):
        return [Refusal("other scenes", "challenger and champion were evaluated on different scenes")]
    refusals = []
    for who, scenes in (("challenger", challenger), ("champion", champion or {})):
        for metric in sorted({rules.metric, *rules.guards}):
            bad = [
                scene for scene in sorted(scenes) if not math.isfinite(scenes[scene].get(metric, math.nan))
            ]
            if bad:
                told = f"{metric} of the {who} is missing or not finite on {', '.join(bad)}"
                refusals.append(Refusal("unmeasured", told))
    return refusals


def _compare(
    rules: PromotionParams, metric: str, greater_is_better: bool, challenger: Scenes, champion: Scenes | None
) -> Comparison:
    """Ratio of means over scenes, with a bootstrap interval over paired scenes (percentile method)."""
    names = sorted(challenger)
    new = np.array([challenger[name][metric] for name in names])
    if champion is None:
        return Comparison(metric, float(new.mean()))
    old = np.array([champion[name][metric] for name in names])
    sign = 1.0 if greater_is_better else -1.0
    drawn = stream(0, "promotion", metric).integers(len(names), size=(rules.resamples, len(names)))
    tail = (1 - rules.confidence) / 2
    low, high = np.quantile(_improvement(new[drawn], old[drawn], sign), [tail, 1 - tail])
    improvement = float(_improvement(new[None], old[None], sign)[0])
    return Comparison(metric, float(new.mean()), float(old.mean()), improvement, (float(low), float(high)))


def _improvement(new: Values, old: Values, sign: float) -> Values:
    """Relative gain of the means along the last axis; a champion at zero is compared in absolute terms."""
    before, after = old.mean(axis=-1), new.mean(axis=-1)
    gained: Values = sign * (after - before) / np.where(before == 0, 1.0, np.abs(before))
    return gained


def seed_half_width(rules: PromotionParams, challenger: Seeds, champion: Seeds) -> float:
    """How far the improvement may be off by the luck of seeds, relative: Student's half interval of the difference of means.

    Both must have been trained with two seeds or more; otherwise nothing is known of it, and 0 is returned.
    """
    if min(len(challenger), len(champion)) < 2:
        return 0.0
    t = stats.t.ppf((1 + rules.confidence) / 2, min(len(challenger), len(champion)) - 1)
    spread = math.hypot(float(stats.sem(challenger)), float(stats.sem(champion)))
    scale = abs(float(np.mean(champion))) or 1.0
    return float(t) * spread / scale


def _too_little(rules: PromotionParams, found: Comparison, seed_half: float) -> list[Refusal]:
    if found.improvement is None or found.interval is None:
        return []
    low, high = found.interval
    told = f"{found.metric} improves by {found.improvement:.1%} (interval {low:.1%} to {high:.1%})"
    if found.improvement < rules.min_relative_improvement:
        return [Refusal("too little", f"{told}, at least {rules.min_relative_improvement:.1%} is asked")]
    if found.improvement < seed_half:
        return [Refusal("chance", f"{told}, and seeds alone make {seed_half:.1%}")]
    return [Refusal("chance", f"{told}, which may be chance")] if low < 0 else []


def _harmed(guard: GuardParams, found: Comparison, where: str = "") -> list[Refusal]:
    refusals, value = [], found.challenger
    if guard.minimum is not None and value < guard.minimum:
        refusals.append(
            Refusal(
                "bound", f"{found.metric}{where} is {value:.4g}, below {guard.minimum:g} ({guard.reason})"
            )
        )
    if guard.maximum is not None and value > guard.maximum:
        refusals.append(
            Refusal(
                "bound", f"{found.metric}{where} is {value:.4g}, above {guard.maximum:g} ({guard.reason})"
            )
        )
    allowed = guard.max_relative_worsening
    if allowed is not None and found.improvement is not None and -found.improvement > allowed:
        told = f"{found.metric}{where} worsens by {-found.improvement:.1%}, at most {allowed:.1%} is allowed ({guard.reason})"
        refusals.append(Refusal("worse in a group" if where else "worse", told))
    return refusals


def _harmed_groups(
    rules: PromotionParams, metric: str, guard: GuardParams, challenger: Scenes, champion: Scenes | None
) -> list[Refusal]:
    """The same of each group of scenes: a mean hides what one terrain or region pays."""
    refusals = []
    for pattern in guard.groups:
        names = [name for name in challenger if fnmatch(name, pattern)]
        if not names:
            refusals.append(Refusal("unmeasured", f"no scene is of the group {pattern}"))
            continue
        new = {name: challenger[name] for name in names}
        old = {name: champion[name] for name in names} if champion else None
        found = _compare(rules, metric, guard.greater_is_better, new, old)
        refusals += _harmed(guard, found, f" on {pattern}")
    return refusals
