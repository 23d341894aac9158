"""When a challenger may become champion: rules as data, decided on the same scenes for both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.params import GuardParams, PromotionParams
from orrery.seeds import stream

Values = NDArray[np.float64]
Scenes = Mapping[str, Mapping[str, float]]
"""Scene -> metric -> value."""


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
    rules: PromotionParams, challenger: Scenes, champion: Scenes | None
) -> tuple[list[Comparison], list[str]]:
    """Compare metric by metric; return the comparisons and the reasons for a refusal, none if it may be promoted."""
    if reasons := _unusable(rules, challenger, champion):
        return [], reasons
    first = _compare(rules, rules.metric, rules.greater_is_better, challenger, champion)
    guarded = {
        name: _compare(rules, name, guard.greater_is_better, challenger, champion)
        for name, guard in rules.guards.items()
    }
    reasons = [*_too_little(rules, first)]
    for name, guard in rules.guards.items():
        reasons += _harmed(guard, guarded[name])
    return [first, *(comparison for name, comparison in guarded.items() if name != rules.metric)], reasons


def _unusable(rules: PromotionParams, challenger: Scenes, champion: Scenes | None) -> list[str]:
    """Why no comparison is possible: other scenes, or metrics that are missing or not finite."""
    if not challenger:
        return ["no scene was evaluated"]
    if champion is not None and set(champion) != set(challenger):
        return ["challenger and champion were evaluated on different scenes"]
    reasons = []
    for who, scenes in (("challenger", challenger), ("champion", champion or {})):
        for metric in sorted({rules.metric, *rules.guards}):
            bad = [
                scene for scene in sorted(scenes) if not math.isfinite(scenes[scene].get(metric, math.nan))
            ]
            if bad:
                reasons.append(f"{metric} of the {who} is missing or not finite on {', '.join(bad)}")
    return reasons


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


def _too_little(rules: PromotionParams, found: Comparison) -> list[str]:
    if found.improvement is None or found.interval is None:
        return []
    low, high = found.interval
    told = f"{found.metric} improves by {found.improvement:.1%} (interval {low:.1%} to {high:.1%})"
    if found.improvement < rules.min_relative_improvement:
        return [f"{told}, at least {rules.min_relative_improvement:.1%} is asked"]
    return [f"{told}, which may be chance"] if low < 0 else []


def _harmed(guard: GuardParams, found: Comparison) -> list[str]:
    reasons, value = [], found.challenger
    if guard.minimum is not None and value < guard.minimum:
        reasons.append(f"{found.metric} is {value:.4g}, below {guard.minimum:g} ({guard.reason})")
    if guard.maximum is not None and value > guard.maximum:
        reasons.append(f"{found.metric} is {value:.4g}, above {guard.maximum:g} ({guard.reason})")
    allowed = guard.max_relative_worsening
    if allowed is not None and found.improvement is not None and -found.improvement > allowed:
        reasons.append(
            f"{found.metric} worsens by {-found.improvement:.1%}, at most {allowed:.1%} is allowed ({guard.reason})"
        )
    return reasons
