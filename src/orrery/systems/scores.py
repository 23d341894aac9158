"""What models are compared by: the figures of the scenes that an evaluation judges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Scores = dict[str, dict[str, float]]
"""Scene -> metric -> value."""


def scores(evaluation: Mapping[str, Any]) -> Scores:
    """The finite numbers of the scenes that an evaluation judges: what models are compared by."""
    return {
        scene: {
            name: float(value)
            for name, value in row.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        for scene, row in evaluation["scenes"].items()
        if row["set"] == "test"
    }
