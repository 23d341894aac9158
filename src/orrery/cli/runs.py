"""Runs, their dashboards and reports."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orrery.cli.group import cli
from orrery.cli.options import PATH


@cli.command()
@click.option("--port", default=5000, show_default=True, help="Port on 127.0.0.1.")
def ui(port: int) -> None:
    """Open MLflow on this repository's database."""
    from orrery.tracking.relocate import ui_command
    from orrery.tracking.root import project_root

    command = ui_command(project_root(), port)
    os.execvp(command[0], command)


@cli.command()
@click.argument("system", required=False)
def report(system: str | None) -> None:
    """Write one page a system, reports/SYSTEM/report.html [default: of every system that has results]."""
    from orrery.stages import report as stage

    stage.run(system)


@cli.command()
def relocate() -> None:
    """Repair the artifact paths of a clone that was moved (also done by itself when needed)."""
    from orrery.tracking.relocate import relocate as repair
    from orrery.tracking.root import project_root

    click.echo(f"{repair(project_root())} paths rewritten")


@cli.command()
@click.argument("system", required=False)
@click.option(
    "--of", "named", help="Tell one run: by id, its beginning, or by what a training wrote (models/…)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def runs(system: str | None, named: str | None, as_json: bool) -> None:
    """List runs with their seed, commit, state and decisive figure; or tell one, with where its weights lie."""
    from orrery.stages import runs as stage

    stage.tell(named) if named else stage.listed(system, as_json=as_json)


@cli.command()
@click.argument("one")
@click.argument("other")
@click.option("--out", type=PATH, help="Folder for the pictures of both, above each other.")
def compare(one: str, other: str, out: Path | None) -> None:
    """Set two runs beside each other: parameters that differ, metrics, pictures."""
    from orrery.stages import runs as stage

    stage.compared(one, other, out)


@cli.command(name="export")
@click.argument("run")
@click.option("--out", type=PATH, help="File to write [default: RUN.zip].")
def export_run(run: str, out: Path | None) -> None:
    """Write a run with its curves and artifacts into one file, for another clone."""
    from orrery.stages import runs as stage

    stage.exported(run, out)


@cli.command(name="import")
@click.argument("bundle", type=PATH)
def import_run(bundle: Path) -> None:
    """Take in a run that was exported elsewhere; hashes are checked first."""
    from orrery.stages import runs as stage

    stage.imported(bundle)


@cli.command()
def wandb_sync() -> None:
    """Send offline W&B mirrors to the server; runs keep their ids."""
    from orrery.stages import runs as stage

    sys.exit(stage.synced())
