"""Runs, their dashboards and reports."""

from __future__ import annotations

import os

import click

from orrery.cli.group import cli


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
