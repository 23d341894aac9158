"""What a misaligned pair and an unseen region cost mars-bands: trainings at demo size, three seeds each, with 95 % intervals.

The champion's variant stands beside those that differ from it by one thing: trained on cubes as they are delivered (`unaligned`), after
one shift (`global-alignment`), and without the region that it is judged on (`without-*`). ``make repro`` trains most of them no
longer than this does, but once. Half an hour on one core; ``ORRERY_BENCH_ABLATION_SEEDS`` takes another number of seeds (2 or more).
Aligned scenes and patches are those of the last ``dvc repro``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import Params, load_params
from orrery.systems.base import Trained, Workspace, get_section, get_system
from orrery.systems.mars_bands.params import MarsParams
from orrery.tables import Result
from orrery.training import fit

SYSTEM = "mars-bands"
SEEDS = int(os.environ.get("ORRERY_BENCH_ABLATION_SEEDS", "3"))
METRICS = {"rmse_if_evc": "I/F", "pcc_evc": "", "spectral_angle_deg_evc": "deg", "rmse_if_fc": "I/F"}
MISALIGNED = ("unaligned", "global-alignment")


def rows() -> list[Row]:
    params = load_params(Path("params.yaml"))
    section: MarsParams = get_section(params, SYSTEM)
    if not Workspace(SYSTEM).patches.exists():
        raise OrreryError("has no patches", file=Workspace(SYSTEM).patches, remedy="run `dvc repro` first")
    held_out = {name: variant.leave_out for name, variant in section.variants.items() if variant.leave_out}
    judged = {
        name: [judged_once(params, section, name, replica) for replica in range(SEEDS)]
        for name in (section.champion_variant, *MISALIGNED, *held_out)
    }
    champion = judged[section.champion_variant]
    found = [row for name in MISALIGNED for row in beside(name, judged[name], champion, section, None)]
    for name, regions in held_out.items():
        found += [row for region in regions for row in beside(name, judged[name], champion, section, region)]
    return found


def judged_once(params: Params, section: MarsParams, variant: str, replica: int) -> Result:
    """One training from its own seed, judged on the test scenes."""
    system, here = get_system(SYSTEM), Workspace(SYSTEM)
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(SYSTEM, Path(folder))
        work.patches.parent.mkdir(parents=True)
        work.patches.symlink_to(here.patches.resolve())
        task = fit(system, section, variant, params, work, logger=False, replica=replica)
        recipe = system.recipe(task, work.patches, section, variant)
    network = system.network(section, variant)
    network.load_state_dict(task.net.state_dict())  # type: ignore[union-attr]
    # a name that is not the champion's: its studies are the tables' affair
    trained = Trained(network.eval(), {**recipe, "name": f"{variant}, seed {replica}"})
    found: Result = system.evaluate(trained, here.aligned, section, None)
    return found


def beside(
    name: str, judged: Sequence[Result], champion: Sequence[Result], section: MarsParams, region: str | None
) -> list[Row]:
    """The metrics of a variant beside the champion's, means over seeds with their intervals, in all regions or one."""
    found = []
    for metric, unit in METRICS.items():
        ours, peer = (
            np.array([mean_of(each, metric, region) for each in results]) for results in (judged, champion)
        )
        conditions = (
            f"{section.variants[name].optimiser.steps} steps, {len(ours)} seeds, test scenes of {region or 'six regions'}; "
            f"95 % intervals of the mean {interval(ours)} and {interval(peer)}"
        )
        where = f", {region}" if region else ""
        found.append(Row(f"{name}{where}: {metric}", float(ours.mean()), unit, conditions, section.champion_variant, float(peer.mean())))  # fmt: skip
    return found


def mean_of(result: Result, metric: str, region: str | None) -> float:
    """Over the test scenes, or those of a region."""
    scenes = [
        row for row in result["scenes"].values() if row["set"] == "test" and region in (None, row["region"])
    ]
    return float(np.mean([row[metric] for row in scenes]))


def interval(values: np.ndarray) -> str:
    """Of the mean, Student's t."""
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.4g} +- {half:.2g}"
