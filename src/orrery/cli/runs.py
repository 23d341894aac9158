"""Runs and their dashboards."""

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
def relocate() -> None:
    """Repair the artifact paths of a clone that was moved (also done by itself when needed)."""
    from orrery.tracking.relocate import relocate as repair
    from orrery.tracking.root import project_root

    click.echo(f"{repair(project_root())} paths rewritten")
