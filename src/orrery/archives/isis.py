"""From raw frames to calibrated maps with USGS's ISIS, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orrery.errors import OrreryError
from orrery.files import replacing, write_text
from orrery.raster.grid import RADIUS_M, Body

STEP_TIMEOUT_S = 4 * 3600  # a whole strip takes minutes; what takes hours hangs, e.g. on the kernel server
SAID_CHARACTERS = 300


@dataclass(frozen=True)
class Chain:
    """Programs that make a calibrated map of a raw frame.

    Attributes:
        body: what the camera looks at.
        importer: raw product to cube.
        calibration: cube to cube, in this order.
        gsd_m: of the map.
    """

    body: Body
    importer: str
    calibration: tuple[str, ...]
    gsd_m: float

    @property
    def programs(self) -> tuple[str, ...]:
        """All that are needed."""
        return (self.importer, "spiceinit", *self.calibration, "cam2map")


# CTX: Stepcenkov et al. 2022, Appendix A.1, and USGS's own recipe; NAC: Chen et al., section II-A, at their 1.5 m.
CHAINS = {
    "CTX": Chain("mars", "mroctx2isis", ("ctxcal", "ctxevenodd"), 6.0),
    "LROC": Chain("moon", "lronac2isis", ("lronaccal", "lronacecho"), 1.5),
}


def map_project(raw: Path, target: Path, instrument: str, latitude_deg: float = 0.0) -> None:
    """Calibrate a raw frame and project it, atomically: I/F on a sphere of the IAU radius, equirectangular.

    Args:
        raw: PDS3 experiment data record with its label.
        target: cube to write.
        instrument: CTX or LROC.
        latitude_deg: where the map has its true scale; 0 for Mars (IAU_2015:49910), the scene's own for the Moon.

    Raises:
        OrreryError: ISIS is not on PATH, knows no chain for the instrument, or one of its programs fails.
    """
    chain = _chain(raw, instrument)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as done, tempfile.TemporaryDirectory(dir=target.parent) as name:
        work = Path(name)
        cube = work / "0.cub"
        _run([chain.importer, f"from={raw.resolve()}", f"to={cube}"], cube, raw)
        _run(["spiceinit", f"from={cube}", "web=yes"], cube, raw)
        for number, program in enumerate(chain.calibration, 1):
            following = work / f"{number}.cub"
            _run([program, f"from={cube}", f"to={following}"], following, raw)
            cube = following
        template, projected = work / "frame.map", work / "map.cub"
        write_text(template, map_template(chain.body, latitude_deg))
        resolution = [f"map={template}", "pixres=mpp", f"resolution={chain.gsd_m:g}"]
        _run(["cam2map", f"from={cube}", f"to={projected}", *resolution], projected, raw)
        shutil.move(projected, done)


def map_template(body: Body, latitude_deg: float) -> str:
    """The map that cam2map shall make, in ISIS's own language."""
    keys = {
        "TargetName": body.capitalize(),
        "ProjectionName": "Equirectangular",
        "CenterLatitude": f"{latitude_deg:.6f}",
        "CenterLongitude": "0.0",
        "EquatorialRadius": f"{RADIUS_M[body]:.1f} <meters>",
        "PolarRadius": f"{RADIUS_M[body]:.1f} <meters>",
        "LatitudeType": "Planetocentric",
        "LongitudeDirection": "PositiveEast",
        "LongitudeDomain": "180",
    }
    lines = [f"  {key} = {value}" for key, value in keys.items()]
    return "\n".join(["Group = Mapping", *lines, "End_Group", "End", ""])


def _chain(raw: Path, instrument: str) -> Chain:
    """The instrument's chain, if every program of it can be run."""
    if instrument not in CHAINS:
        problem = f"is a raw frame of {instrument}, for which no calibration is known"
        raise OrreryError(problem, file=raw, remedy="project it yourself and give the map")
    missing = [program for program in CHAINS[instrument].programs if shutil.which(program) is None]
    if missing:
        problem = (
            f"is a raw frame, and ISIS, which calibrates and projects it, lacks {', '.join(missing)} on PATH"
        )
        remedy = (
            "install ISIS (conda, channel usgs-astrogeology) and activate it, or give a map-projected image"
        )
        raise OrreryError(problem, file=raw, remedy=remedy)
    return CHAINS[instrument]


def _run(command: Sequence[str], result: Path, raw: Path) -> None:
    """One program, which must end well and leave its result."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=STEP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        problem = f"{command[0]} has not ended after {STEP_TIMEOUT_S / 3600:g} hours"
        raise OrreryError(problem, file=raw, remedy="look whether its kernel server answers") from error
    if done.returncode or not result.is_file():
        said = " ".join((done.stderr or done.stdout).split())[-SAID_CHARACTERS:]
        problem = f"{command[0]} fails with status {done.returncode} ({said or 'it says nothing'})"
        raise OrreryError(problem, file=raw, remedy=f"run it by hand: {' '.join(command)}")
