"""ingest: raw scenes into data/, versioned; the only thing that writes there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.params import load_params
from orrery.worlds import mars, moon


def run(out: Path, versioned: bool) -> None:
    """Make each world's scenes under `out`/<world> and, where wanted, record `out` with `dvc add`.

    Raises:
        OrreryError: DVC refuses.
    """
    params = load_params()
    if params.ingest.moon:
        with replacing(out / "moon") as temporary:
            names = moon.make(temporary, params.ingest.moon, params.seed)
        click.echo(f"{len(names)} scenes under {out / 'moon'}")
    if params.ingest.mars:
        with replacing(out / "mars") as temporary:
            names = mars.make(temporary, params.ingest.mars, params.seed)
        click.echo(f"{len(names)} scenes under {out / 'mars'}")
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
