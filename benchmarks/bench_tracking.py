"""What tracking costs: each system's champion trained with an MLflow run and with no logger at all, in turns.

The goal is on processor time, which other work on the machine does not change; a tracked training's includes opening and ending the
run, parameters, data sets, system metrics and artifacts. Patches are those of the last ``dvc repro``;
``ORRERY_BENCH_TRACKING_TURNS`` takes another number of turns (2 without it).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import Params, load_params
from orrery.systems.base import SystemSection, Workspace, get_section, get_system
from orrery.tracking.runs import training_run
from orrery.training import fit

TURNS = int(os.environ.get("ORRERY_BENCH_TRACKING_TURNS", "2"))


def rows() -> list[Row]:
    params = load_params()
    return [row for system in sorted(params.systems) for row in system_rows(system, params)]


def system_rows(system: str, params: Params) -> list[Row]:
    """Processor and wall time of one system's champion."""
    patches, section = Workspace(system).patches.resolve(), get_section(params, system)
    if not patches.exists():
        raise OrreryError("has no patches", file=patches, remedy="run `dvc repro` first")
    times = np.array([[seconds(system, params, section, patches, tracked) for tracked in (True, False)] for _ in range(TURNS)])  # fmt: skip
    (cpu, bare_cpu), (wall, bare_wall) = times.mean(0).T
    steps = get_system(system).schedule(section, section.champion_variant).steps
    conditions = (
        f"{section.champion_variant}, {steps} steps, one thread, mean of {TURNS} turns, wall {wall:.1f} s"
    )
    return [
        Row(
            f"training of {system}, processor time", cpu, "s", conditions, "no logger", bare_cpu, "ratio <= 1.02"
        ),
        Row(f"training of {system}, wall time", wall, "s", conditions, "no logger", bare_wall),
    ]  # fmt: skip


def seconds(
    system: str, params: Params, section: SystemSection, patches: Path, tracked: bool
) -> tuple[float, float]:
    """Processor and wall time of one training, in a clone of its own."""
    owner, variant = get_system(system), section.champion_variant
    params = params.model_copy(update={"train": params.train.model_copy(update={"threads": 1})})
    with clone(system, patches) as work:
        start, cpu = time.perf_counter(), time.process_time()
        if tracked:
            with training_run(system, variant, params, data=work.patches, root=work.root) as run:
                fit(owner, section, variant, params, work, run.lightning_logger())
        else:
            fit(owner, section, variant, params, work, logger=False)
        return time.process_time() - cpu, time.perf_counter() - start


@contextmanager
def clone(system: str, patches: Path) -> Iterator[Any]:
    """An empty project that has the patches, and the present folder for as long as it lasts."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(system, Path(folder).resolve())
        work.patches.parent.mkdir(parents=True)
        work.patches.symlink_to(patches)
        subprocess.run(["git", "init", "-q", folder], check=True)
        os.chdir(folder)
        try:
            yield work
        finally:
            os.chdir(here)
