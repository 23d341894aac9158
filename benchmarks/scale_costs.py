"""What large areas cost, on paper: ``python -m benchmarks.scale_costs [--into docs/scale.md]``, after ``make repro``.

Processor seconds per megapixel of the champions' whole-scene prediction (alignment and products included), those of the network alone, and those of a
training step are measured here, in one thread; a GPU's are those of ``python -m benchmarks.run gpu``; areas are sourced; the rest is
arithmetic. Processor time hardly depends on what else runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.bench_mosaic import SUN, make_scene
from benchmarks.bench_strip import make_strip
from benchmarks.bench_tracking import Spent
from orrery.files import write_text
from orrery.params import load_params
from orrery.stages.predict import run as predict
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.export import ExportedNetwork
from orrery.training import fit

SCENE_PX, STRIP_PX = 3000, (2000, 5064)
STEPS = 12
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
CORES = 64  # of a node
GPU_S_PER_MPX = {"lunar-dtm": 0.00169, "mars-bands": 0.00206}  # of the champions' networks on an NVIDIA H200


@dataclass(frozen=True)
class Area:
    """A map to make: its ground, at a pixel size, by a system."""

    name: str
    system: str
    km2: float
    gsd_m: float
    source: str

    @property
    def mpx(self) -> float:
        """Megapixels of the map."""
        return self.km2 / self.gsd_m**2


AREAS = (
    Area("CE-4 landing area, 1.5 m", "lunar-dtm", 72.8 * 30.3, 1.5, "72.8 x 30.3 km, Chen et al. 2022"),
    Area("the Moon by NAC, 1.5 m", "lunar-dtm", 3.793e7, 1.5, "a sphere of 1,737.4 km, covered once"),
    Area("Mars by CTX, 6 m", "mars-bands", 1.448e8, 6.0, "a sphere of 3,389.5 km, covered once"),
)


@dataclass(frozen=True)
class Cost:
    """Of one megapixel of a product."""

    seconds: float
    network_s: float
    bytes: float


def measured(work: Callable[[Path], float]) -> Cost:
    """Processor seconds and bytes per megapixel of a prediction, which returns its megapixels."""
    network = Spent()
    with tempfile.TemporaryDirectory() as folder, network.in_calls(ExportedNetwork, ["__call__"]):
        out = Path(folder) / "product"
        started = time.process_time()
        mpx = work(out)
        seconds = time.process_time() - started
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Cost(seconds / mpx, network.seconds / mpx, size / mpx)


def lunar(out: Path) -> float:
    """The lunar champion over a scene of shaded hills."""
    make_scene(out.parent / "scene", SCENE_PX)
    folder = out.parent / "scene"
    request = {"images": (folder / "image.tif",), "dem": folder / "dem.tif", "sun": SUN, "align": False}
    predict("lunar-dtm", request, out, "champion")
    return SCENE_PX**2 / 1e6


def mars(out: Path) -> float:
    """The Martian champion over a strip of full width."""
    image = make_strip(out.parent / "strip", *STRIP_PX)
    predict("mars-bands", {"images": (image,), "sun": SUN}, out, "champion")
    return STRIP_PX[0] * STRIP_PX[1] / 1e6


def step_seconds(system: str) -> float:
    """Processor seconds of a training step of the champion's variant, at the present scale."""
    params, work, owner = load_params(), Workspace(system), get_system(system)
    section = get_section(params, system)
    name = section.champion_variant
    options = section.variants[name].optimiser.model_copy(update={"steps": STEPS, "warmup_steps": 1})
    variant = section.variants[name].model_copy(update={"optimiser": options})
    section = section.model_copy(update={"variants": {**section.variants, name: variant}})
    with tempfile.TemporaryDirectory() as folder:
        own = Workspace(system, Path(folder))
        own.patches.parent.mkdir(parents=True)
        own.patches.symlink_to(work.patches.resolve())
        started = time.process_time()
        fit(owner, section, name, params, own, logger=False)
    return (time.process_time() - started) / STEPS


def table(costs: dict[str, Cost], steps: dict[str, float]) -> str:
    """Markdown: what was measured, then what follows from it."""
    lines = ["| system | prediction, s per Mpx and core | of which the network | product, MB per Mpx | training step at demo scale, s per core |", "|---|---|---|---|---|"]  # fmt: skip
    lines += [
        f"| {name} | {cost.seconds:.2f} | {cost.network_s:.2f} | {cost.bytes / 1e6:.1f} | {steps[name]:.2f} |"
        for name, cost in costs.items()
    ]
    lines += ["", f"| area | ground | map, Gpx | core hours | nodes of {CORES} cores, days | with GPUs: their hours | and core hours beside them | products, TB |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for area in AREAS:
        cost = costs[area.system]
        hours, rest = area.mpx * cost.seconds / 3600, area.mpx * (cost.seconds - cost.network_s) / 3600
        gpu = area.mpx * GPU_S_PER_MPX[area.system] / 3600
        lines.append(
            f"| {area.name} | {area.source} | {_short(area.mpx / 1e3)} | {_short(hours)} | {_short(hours / CORES / 24)} | {_short(gpu)} | {_short(rest)} | {_short(area.mpx * cost.bytes / 1e12)} |"
        )
    return "\n".join(lines)


def _short(value: float) -> str:
    """Two or three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def main() -> None:
    """Measure, print, and write the table into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="document whose table between the marks is replaced")
    into = parser.parse_args().into
    torch.set_num_threads(1)
    costs = {"lunar-dtm": measured(lunar), "mars-bands": measured(mars)}
    told = table(costs, {name: step_seconds(name) for name in costs})
    print(told)
    if into is not None:
        text = into.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        write_text(into, f"{before}{BEGIN}\n{told}\n{END}{after}")


if __name__ == "__main__":
    main()
