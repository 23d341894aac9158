"""ingest: raw scenes into data/, versioned; the only thing that writes there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.params import load_params
from orrery.worlds import mars, moon
from orrery.worlds.moon import stereo_scenes

WORLDS: Mapping[str, Callable[[Path, Any, int], list[str]]] = {
    "moon": moon.make,
    "mars": mars.make,
    "kaguya": stereo_scenes.make,
}


def run(out: Path, versioned: bool) -> None:
    """Make each world's scenes under `out`/<world> and, where wanted, record `out` with `dvc add`.

    Raises:
        OrreryError: DVC refuses.
    """
    params = load_params()
    for name, make in WORLDS.items():
        wanted = getattr(params.ingest, name)
        if wanted:
            with replacing(out / name) as temporary:
                names = make(temporary, wanted, params.seed)
            click.echo(f"{len(names)} scenes under {out / name}")
    if versioned:
        record(out)


def record(out: Path) -> None:
    """Let DVC take the folder into its care.

    Raises:
        OrreryError: DVC refuses.
    """
    done = subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", str(out)], check=False)
    if done.returncode:
        raise OrreryError(
            "could not be versioned", file=out, remedy="see DVC's message above; or use --no-version"
        )
    click.echo(f"{out}.dvc records it; `dvc push` stores it in the remote")
