"""What tracking costs a training, each system's champion once.

Processor time of opening and ending the run, of every call of the logger, and of the thread that measures the machine, over that of the
whole training. Two trainings beside each other, with and without a logger, differ by more than that for no reason. What is spent once is told for
itself: MLflow is loaded once a process, patches are hashed once for all trainings on them. The database, made once a clone, is there. Patches
are those of the last ``dvc repro``.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import Params, load_params
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.logger import RunLogger
from orrery.tracking.mlflow_runs import DIGESTS
from orrery.tracking.provenance import content_md5, remembered_md5
from orrery.tracking.runs import training_run
from orrery.tracking.store import bootstrap
from orrery.training import fit

LOADING = "import time, pytorch_lightning; start = time.process_time(); import orrery.tracking.mlflow_runs; print(time.process_time() - start)"
CALLS = ("log_metrics", "log_image", "log_hyperparams", "finalize")


def rows() -> list[Row]:
    params = load_params()
    told = subprocess.run([sys.executable, "-c", LOADING], check=True, capture_output=True, text=True).stdout
    loading = Row(
        "loading MLflow, once a process",
        float(told.splitlines()[-1]),
        "s",
        "processor time, Lightning is there",
    )
    systems = sorted(params.systems)
    return [*(system_row(system, params) for system in systems), *map(hashing_row, systems), loading]


def hashing_row(system: str) -> Row:
    """Processor time of the digest of a system's patches."""
    patches = Workspace(system).patches.resolve()
    start = time.process_time()
    content_md5(patches)
    size = sum(path.stat().st_size for path in patches.rglob("*") if path.is_file()) / 1e6
    told = f"processor time, {size:.0f} MB"
    return Row(f"digest of the patches of {system}, once", time.process_time() - start, "s", told)


def system_row(system: str, params: Params) -> Row:
    """Share of one system's champion."""
    patches, section, owner = (
        Workspace(system).patches.resolve(),
        get_section(params, system),
        get_system(system),
    )
    if not patches.exists():
        raise OrreryError("has no patches", file=patches, remedy="run `dvc repro` first")
    variant = section.champion_variant
    params = params.model_copy(update={"train": params.train.model_copy(update={"threads": 1})})
    gc.collect()  # what earlier trainings left would be collected on this one's clock
    spent, others = Spent(), monitors()
    with clone(system, patches) as work, spent.in_calls(RunLogger, CALLS):
        whole, tracked = (
            time.process_time(),
            training_run(system, variant, params, data=work.patches, root=work.root),
        )
        run = spent.in_call(tracked.__enter__)()
        fit(owner, section, variant, params, work, run.lightning_logger())
        spent.seconds += machine_metrics_s(monitors() - others)
        spent.in_call(tracked.__exit__)(None, None, None)
        whole = time.process_time() - whole
    steps = owner.schedule(section, variant).steps
    return Row(
        f"tracking of {system}", spent.seconds, "s", f"processor time, {variant}, {steps} steps, one thread",
        "the whole training", whole, "ratio <= 0.02",
    )  # fmt: skip


class Spent:
    """Processor time of this thread inside calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def in_call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time counts."""

        def counted(*arguments: Any, **options: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.thread_time() - start

        return counted

    @contextmanager
    def in_calls(self, owner: type, names: Iterable[str]) -> Iterator[None]:
        """Every call of these methods of a class counts."""
        before = {name: getattr(owner, name) for name in names}
        try:
            for name, function in before.items():
                setattr(owner, name, self.in_call(function))
            yield
        finally:
            for name, function in before.items():
                setattr(owner, name, function)


def monitors() -> set[int | None]:
    """MLflow's threads that sample the machine; one may outlive its run for a while."""
    return {thread.native_id for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"}


def machine_metrics_s(ids: set[int | None]) -> float:
    """Processor time of such threads."""
    times = [
        Path(f"/proc/self/task/{each}/stat").read_text().rpartition(")")[2].split()[11:13] for each in ids
    ]
    return sum(int(ticks) for pair in times for ticks in pair) / os.sysconf("SC_CLK_TCK")


@contextmanager
def clone(system: str, patches: Path) -> Iterator[Workspace]:
    """A project with the patches and a database without runs; the present folder for as long as it lasts."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(system, Path(folder).resolve())
        work.patches.parent.mkdir(parents=True)
        work.patches.symlink_to(patches)
        subprocess.run(["git", "init", "-q", folder], check=True)
        bootstrap(work.root, system)
        remembered_md5(work.patches, work.root / DIGESTS)
        os.chdir(folder)
        try:
            yield work
        finally:
            os.chdir(here)
