"""What the pipeline leaves behind, small and made up, for a report to be made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from orrery.figures import bare, levels
from orrery.systems.base import COMPARED, Workspace

SYSTEM, CHAMPION = "lunar-dtm", "orrery-dtm"
SCENES = ("test-flat", "test-wall")
RULES = {
    "metric": "rmse_m",
    "greater_is_better": False,
    "min_relative_improvement": 0.01,
    "confidence": 0.9,
    "resamples": 2000,
    "evidence": ["model_card.md"],
    "gates": ["residual"],
    "same_data": True,
    "max_age_days": 90.0,
    "max_slowdown": None,
    "max_growth": 2.0,
    "guards": {
        "slope_mae_deg": {
            "max_relative_worsening": 0.02, "greater_is_better": False, "minimum": None, "maximum": None, "reason": "slopes matter",
            "groups": ["test-flat*"],
        }
    },
}  # fmt: skip


def write_results(root: Path, repository: Path, run_id: str = "0" * 32, *, text: str = "") -> Workspace:
    """The files of one system under `root`; `text` goes wherever the pipeline's files hold free text."""
    work = Workspace(SYSTEM, root)
    root.mkdir(exist_ok=True)
    for name in ("params.yaml", "params.full.yaml"):
        shutil.copy(repository / name, root)
    write(work.gate_verdict, gate(text))
    write(work.reports / "tables.json", rows(text))
    (work.reports / "tables.md").write_text(f"# title\n\nThe preface. {text}\n\nmore\n\n## table\n")
    write(work.reports / "promotion.json", promotion(text))
    write(work.report(CHAMPION) / "metrics.json", metrics(text))
    write(work.model(CHAMPION) / "run.json", {"run_id": run_id, "system": SYSTEM, "variant": CHAMPION})
    ramp = np.tile(np.linspace(0, 1, 160, dtype=np.float32), (120, 1))
    for scene in SCENES:
        folder = work.report(CHAMPION) / COMPARED / scene
        for number, plane in enumerate((ramp, 1 - ramp, np.zeros_like(ramp))):
            bare(levels(plane, (0, 1)), f"plane {number} {text}".strip(), folder / f"{number}.png")
        bare(levels(ramp), f"panels {text}", work.report(CHAMPION) / f"{scene}.png")
    bare(levels(ramp), "quality", work.reports / "pictures/quality.png")
    return work


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def gate(text: str = "") -> dict[str, Any]:
    held = {
        "column": "residual_px", "min": None, "max": 0.5, "mostly": 1.0, "optional": False, "reason": f"edges double {text}",
        "severity": "critical", "where": {}, "rows": 4, "passed": True, "failures": [],
    }  # fmt: skip
    failed = {"scene": f"train-gale-1{text}", "pair": "l-to-r", "value": 84.25, "problem": f"above 60 {text}"}
    broken = held | {
        "column": "time_difference_days", "max": 60.0, "severity": "warning", "passed": False, "failures": [failed],
    }  # fmt: skip
    return {
        "passed": True,
        "rows": 4,
        "structure": [text] * bool(text),
        "expectations": {f"residual{text}": held, "time": broken},
    }


def rows(text: str = "") -> list[dict[str, Any]]:
    def row(table: str, name: str, metric: str, paper: float | None, ours: float | None, data: str = "twin"):
        return {
            "table": f"{table}{text}", "row": name, "metric": metric, "paper": paper, "ours": ours, "interval": [0.25, 0.75],
            "interval_over": "scenes", "seeds": 1, "data": data, "commit": "a" * 40,
        }  # fmt: skip

    return [
        row("by terrain", "bicubic", "rmse_m", None, 1.1794),
        row("by terrain", f"{CHAMPION}", "rmse_m", None, 0.5),
        row("Table I", f"bicubic{text}", "delta_0.1", 0.363, 0.8159),
        row("Table I", f"bicubic{text}", "delta_0.1", 0.363, 0.1111, "real"),
        row("Table I", CHAMPION, "delta_0.1", None, 0.8674),
    ]


def metrics(text: str = "") -> dict[str, Any]:
    scene = {
        "set": "test", "kind": "flat", "rmse_m": 0.5, "coverage_1sigma": 0.6467, "coverage_1sigma@true": 0.1,
        "reliability": {"expected": [0.5, 0.9], "observed": [0.4, 0.8]},
    }  # fmt: skip
    extra = {"set": "extra", "coverage_1sigma": 0.3333}
    return {"scenes": {f"{SCENES[0]}{text}": scene, SCENES[1]: scene, "suns": extra}, "replicas": []}


def promotion(text: str = "") -> dict[str, Any]:
    found = {"challenger": 0.7821, "champion": 0.9, "improvement": 0.131, "interval": [0.05, 0.2]}
    guard = {"challenger": 1.226, "champion": None, "improvement": None, "interval": None}
    return {
        "system": SYSTEM,
        "version": "2",
        "champion": "1",
        "promoted": False,
        "reasons": [f"slope_mae_deg is worse {text}"],
        "codes": ["worse"],
        "comparisons": {"rmse_m": found, "slope_mae_deg": guard},
        "scenes": {"challenger": {}, "champion": {}},
        "rules": RULES,
    }
