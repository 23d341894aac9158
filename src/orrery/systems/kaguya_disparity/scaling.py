"""How large residuals are expected to be under a condition: what z-scores are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orrery.files import read_as
from orrery.systems.kaguya_disparity.conditions import Condition


@dataclass(frozen=True)
class Scaling:
    """A power law of brightness and table.

    Attributes:
        sd_px: standard deviation of the residual at 200 counts with a table whose mean step is 4 counts.
        by_count: exponent of brightness.
        by_step: exponent of the table's step.
        mean: of the residual, in those standard deviations.
    """

    sd_px: float
    by_count: float
    by_step: float
    mean: float = 0.0

    def of(self, condition: Condition) -> float:
        """Expected standard deviation under a condition, px."""
        brightness, step = condition.planes()
        return float(self.sd_px * 2 ** (self.by_count * brightness + self.by_step * step))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; ``Scaling(**data)`` reads it back."""
        return asdict(self)


def fitted(conditions: Sequence[Condition], sd_px: Sequence[float], means_px: Sequence[float]) -> Scaling:
    """The least-squares power law of scenes under conditions; exponents that they do not tell apart are 0.

    Args:
        conditions: one a scene and condition.
        sd_px: of the residual there.
        means_px: of the residual there.
    """
    octaves = np.array([condition.planes() for condition in conditions])
    varied = np.ptp(octaves, axis=0) > 0
    design = np.column_stack([np.ones(len(octaves)), octaves[:, varied]])
    found = np.linalg.lstsq(design, np.log2(sd_px), rcond=None)[0]
    exponents = np.zeros(2)
    exponents[varied] = found[1:]
    law = Scaling(float(2 ** found[0]), float(exponents[0]), float(exponents[1]))
    scores = [mean / law.of(condition) for mean, condition in zip(means_px, conditions, strict=True)]
    return Scaling(law.sd_px, law.by_count, law.by_step, float(np.mean(scores)))


def scaling_of(root: Path) -> Scaling:
    """What the patch stage found about the training scenes."""
    return read_as(root / "statistics.json", Scaling, "a power law of residuals", "run the patch stage again")
