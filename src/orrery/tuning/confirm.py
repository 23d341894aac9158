"""Whether the winner of a study is better than the present setting: by seeds that the study has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from orrery.seeds import stream
from orrery.systems.scores import Scores
from orrery.tuning.params import Objective, TuneParams
from orrery.tuning.setting import Setting

RESAMPLES = 5000


@dataclass(frozen=True)
class Confirmation:
    """A comparison over seeds and scenes.

    Attributes:
        metric: decisive figure.
        present: mean of the present setting, by seed.
        winner: mean of the winner, by seed.
        improvement: relative, positive where the winner is better.
        interval: of the improvement, by resampling seeds and scenes in pairs.
        confirmed: whether it counts.
        reason: in one sentence.
    """

    metric: str
    present: list[float]
    winner: list[float]
    improvement: float
    interval: tuple[float, float]
    confirmed: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "interval": list(self.interval)}


def confirm(
    options: TuneParams,
    winner: Setting,
    present: Setting,
    train: Callable[[Setting, int], Scores],
) -> Confirmation:
    """Train both once a seed and compare them.

    Args:
        options: how many seeds, and what is asked.
        winner: of the study.
        present: setting.
        train: setting and number of the seed -> scores by validation scene.
    """
    pairs = [(train(winner, seed), train(present, seed)) for seed in range(1, options.seeds + 1)]
    return compare([new for new, _ in pairs], [old for _, old in pairs], options)


def compare(new: Sequence[Scores], old: Sequence[Scores], options: TuneParams) -> Confirmation:
    """The same seeds and scenes of two settings, by the first objective."""
    objective = options.objectives[0]
    scenes = sorted(old[0])
    winner, present = (
        np.array([[each[scene][objective.metric] for scene in scenes] for each in scores])
        for scores in (new, old)
    )
    draw = stream(0, "confirmation", objective.metric)
    seeds = draw.integers(len(winner), size=(RESAMPLES, len(winner), 1))
    places = draw.integers(len(scenes), size=(RESAMPLES, 1, len(scenes)))
    new_means, old_means = (plane[seeds, places].mean((1, 2)) for plane in (winner, present))
    tail = (1 - options.confidence) / 2
    low, high = np.quantile(_gain(new_means, old_means, objective), [tail, 1 - tail])
    gain = float(_gain(winner.mean(), present.mean(), objective))
    confirmed = gain >= options.min_relative_improvement and low > 0
    told = f"{objective.metric} improves by {gain:.1%}, {options.confidence:.0%} interval {low:.1%} to {high:.1%}, {len(winner)} seeds"
    verdict = "confirmed" if confirmed else f"no gain: at least {options.min_relative_improvement:.1%} and an interval above zero are asked"  # fmt: skip
    return Confirmation(
        objective.metric,
        present.mean(1).tolist(),
        winner.mean(1).tolist(),
        gain,
        (float(low), float(high)),
        bool(confirmed),
        f"{told}: {verdict}",
    )


def unchanged(options: TuneParams, value: float, trials: int) -> Confirmation:
    """The verdict where the present setting has won: there is nothing to train."""
    told = f"no gain: the present setting is the best of {trials} trials"
    return Confirmation(options.objectives[0].metric, [value], [value], 0.0, (0.0, 0.0), False, told)


def _gain(new: Any, old: Any, objective: Objective) -> Any:
    sign = 1.0 if objective.greater_is_better else -1.0
    scale = np.where(np.abs(old) > math.ulp(1.0), np.abs(old), 1.0)
    return sign * (new - old) / scale
