"""Co-registration against AROSICS 1.12.1 (default window, global then local) on pairs with a known warp, in the same run.

The pairs are made from real CTX crops that no setting was chosen on; skipped where they are absent. AROSICS needs an
environment of its own: ``ORRERY_AROSICS_PYTHON`` names its Python (see docs/how-to/compare-with-arosics.md); without it the
peer's columns are empty. An error is the root mean square distance from the truth at all pixels that both images show, 20 px
from the edge, px of 6 m. Where AROSICS finds no warp its shift is judged, and where it finds no shift the pair as it was.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.coregistration_cases import CASES, GRID, Pair, make_pair
from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import load_params
from orrery.raster.align import Coregistration, CoregistrationOptions, coregister
from orrery.raster.align.warping import positions_as_written
from orrery.systems.base import get_section

FOLDER = Path(os.environ.get("ORRERY_SHARED", Path(__file__).parents[2] / "shared/data")) / "mars/ctx/mc11e"
CROPS = os.environ.get("ORRERY_BENCH_COREGISTRATION_CROPS", "BCEF")  # settings were chosen on A and D
PEER = os.environ.get("ORRERY_AROSICS_PYTHON", "")
SCRIPT = Path(__file__).with_name("arosics_peer.py")
SEED = 5
GOALS_PX = {"a": 0.05, "b": 0.08, "c": 0.15, "d1": 0.15, "d3": 0.30}
HALF = ("c", "d1", "d3")  # where at most half of the peer's error is asked
PATHOLOGICAL = "d2"
GATE = get_section(load_params(Path(__file__).parents[1] / "params.yaml"), "mars-bands").gate
MOST_RESIDUAL_PX, LEAST_VALID_SHARE = float(GATE["residual"].max), float(GATE["valid_share"].min)


@dataclass(frozen=True)
class Result:
    """One pair, by us and by the peer (None without it)."""

    found: Coregistration
    error_px: float
    seconds: float
    peer_error_px: float | None = None
    peer_share: float | None = None
    peer_seconds: float | None = None
    peer_found: str = ""

    @property
    def passes(self) -> bool:
        """Whether the gate would take it."""
        return self.found.residual_px <= MOST_RESIDUAL_PX and self.found.valid_share >= LEAST_VALID_SHARE

    @property
    def honesty(self) -> float:
        """Own estimate of the residual over the true error."""
        return self.found.residual_px / self.error_px


def rows() -> list[Row]:
    crops = [FOLDER / f"MC11E-{letter}.png" for letter in CROPS]
    if not all(crop.is_file() for crop in crops):
        return []
    results = {
        name: [measured(make_pair(crop, case, SEED)) for crop in crops] for name, case in CASES.items()
    }
    found = [row for name, each in results.items() for row in case_rows(name, each)]
    passing = {name: [each for each in some if each.passes] for name, some in results.items()}
    honest = [honesty_row(name, some) for name, some in passing.items() if some]
    return [*found, flagged_row(results[PATHOLOGICAL]), *honest, time_row(results["c"])]


def measured(pair: Pair) -> Result:
    """Both on one pair, each on one core."""
    start = time.process_time()
    found = coregister(pair.moving, pair.reference, CoregistrationOptions())
    seconds = time.process_time() - start
    error = pair.error_px(positions_as_written(GRID, found.correction, GRID))
    if not PEER:
        return Result(found, error, seconds)
    with tempfile.TemporaryDirectory() as folder:
        peer = run_peer(pair, Path(folder))
    written, tried = peer["written"], int(peer["tried"])
    covered = np.isfinite(written).all(0)
    distance = np.hypot(*(written - pair.written))[pair.judged & covered]
    share = int(peer["valid"]) / tried if tried else 0.0
    peer_error = float(np.sqrt(np.mean(distance**2)))
    return Result(found, error, seconds, peer_error, share, float(peer["seconds"]), str(peer["found"]))


def run_peer(pair: Pair, folder: Path) -> dict[str, np.ndarray]:
    """AROSICS in a process of its environment."""
    reference, moving = (
        np.nan_to_num(image.values).astype(np.uint8) for image in (pair.reference, pair.moving)
    )
    np.savez(folder / "pair.npz", reference=reference, moving=moving)
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [PEER, str(SCRIPT), str(folder / "pair.npz"), str(folder / "out.npz")]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        raise OrreryError(
            f"AROSICS did not run ({told.strip()[-200:]})", remedy="correct or unset ORRERY_AROSICS_PYTHON"
        ) from error
    with np.load(folder / "out.npz") as content:
        return dict(content)


def case_rows(name: str, results: Sequence[Result]) -> list[Row]:
    """Error and share of valid tie points of one case: the worst crop against the goal, the median against the peer."""
    errors = [each.error_px for each in results]
    peers = [each.peer_error_px for each in results if each.peer_error_px is not None]
    told = f"{CASES[name].name}; {len(results)} CTX crops, ours {_list(errors)}"
    if peers:
        how = ", ".join(f"{each.peer_error_px:.2f} ({each.peer_found})" for each in results)
        told += f"; AROSICS {how}"
    goal = f"figure <= {GOALS_PX[name]:g}" if name in GOALS_PX else ""
    shares = [each.found.valid_share for each in results]
    peer_shares = [each.peer_share for each in results if each.peer_share is not None]
    share_goal = "" if name == PATHOLOGICAL else "figure >= 0.8"
    found = [
        Row(f"{name}: error, worst crop", max(errors), "px", told, _peer(peers), max(peers, default=None), goal),
        Row(
            f"{name}: valid tie points, worst crop", min(shares), "", told, _peer(peer_shares), min(peer_shares, default=None), share_goal
        ),
    ]  # fmt: skip
    if peers:
        bound = "ratio <= 0.5" if name in HALF else ""
        ours, theirs = float(np.median(errors)), float(np.median(peers))
        found.insert(1, Row(f"{name}: error, median crop", ours, "px", told, "AROSICS", theirs, bound))
    return found


def flagged_row(results: Sequence[Result]) -> Row:
    """Whether the gate stops what cannot be matched."""
    residuals = _list([each.found.residual_px for each in results])
    shares = _list([each.found.valid_share for each in results])
    return Row(
        f"{PATHOLOGICAL}: share of crops that the gate stops",
        float(np.mean([not each.passes for each in results])),
        "",
        f"own residual {residuals} px (at most {MOST_RESIDUAL_PX:g}), valid share {shares} (at least {LEAST_VALID_SHARE:g})",
        goal="figure >= 1",
    )


def honesty_row(name: str, results: Sequence[Result]) -> Row:
    """Own estimate over true error, where the gate passes: below 1 is too sure."""
    ratios = [each.honesty for each in results]
    conditions = f"residual of held-out blocks over true error, lowest of {_list(ratios)}"
    return Row(f"{name}: own estimate of the residual", min(ratios), "", conditions, goal="figure >= 0.8")


def time_row(results: Sequence[Result]) -> Row:
    """Processor time of case c."""
    ours = float(np.median([each.seconds for each in results]))
    peers = [each.peer_seconds for each in results if each.peer_seconds is not None]
    peer = float(np.median(peers)) if peers else None
    conditions = (
        f"case c, {GRID.width} x {GRID.height} px, processor time, one core, median of {len(results)} crops"
    )
    return Row(
        "co-registration, time", ours, "s", conditions, _peer(peers), peer, "ratio <= 0.5" if peers else ""
    )


def _peer(figures: Sequence[object]) -> str:
    return "AROSICS" if figures else ""


def _list(figures: Sequence[float]) -> str:
    return ", ".join(f"{figure:.3g}" for figure in figures)
