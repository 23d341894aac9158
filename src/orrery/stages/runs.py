"""Runs on the terminal: listed, told, compared, moved between clones, mirrored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from orrery.errors import OrreryError
from orrery.params import load_params
from orrery.systems.base import get_section
from orrery.tracking.browse import SHORT, RunRow, compare, find_run, list_runs, pictures_beside, weights_of
from orrery.tracking.bundle import export_run, import_run
from orrery.tracking.root import project_root

HEAD = ("run", "system", "variant", "seed", "started, UTC", "commit", "state", "")


def listed(system: str | None, *, as_json: bool) -> None:
    """Print all runs, or a system's, newest first."""
    params, root = load_params(), project_root()
    metrics = {name: str(get_section(params, name).promotion.metric) for name in params.systems}
    rows = list_runs(root, system, metrics)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row.to_dict() | {"metric_name": metrics.get(row.system)}))
        return
    cells = [HEAD, *(_cells(row, metrics.get(row.system, "")) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cells(row: RunRow, metric: str) -> tuple[str, ...]:
    figure = "" if row.metric is None else f"{metric} {row.metric:.4g}"
    return (row.run_id[:SHORT], row.system, row.variant or row.stage, row.seed, row.started, row.commit, row.status.lower(), figure)  # fmt: skip


def tell(named: str) -> None:
    """Print one run with its tags, and where its weights lie."""
    root = project_root()
    run = find_run(root, named)
    click.echo(f"run      {run.info.run_id}  {run.info.status.lower()}")
    for name, value in sorted(run.data.tags.items()):
        if not name.startswith("mlflow."):
            click.echo(f"  {name:<22} {value}")
    for place in weights_of(root, run) or ["nowhere in this clone"]:
        click.echo(f"weights  {place}")


def compared(one: str, other: str, out: Path | None) -> None:
    """Print what differs; write the pictures."""
    root = project_root()
    first, second = find_run(root, one), find_run(root, other)
    beside = compare(first, second)
    click.echo(f"{'':<44} {first.info.run_id[:SHORT]:>14} {second.info.run_id[:SHORT]:>14}")
    for name, (left, right) in beside.params.items():
        click.echo(f"{name:<44} {left or '–':>14} {right or '–':>14}")
    for name, (value, against) in beside.metrics.items():
        told = "" if value is None or against is None or value == 0 else f"  {against / value - 1:+.1%}"
        click.echo(f"{name:<44} {_number(value):>14} {_number(against):>14}{told}")
    if out is not None:
        click.echo(f"{pictures_beside(root, first, second, out)} pictures in {out}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.5g}"


def exported(run: str, out: Path | None) -> None:
    """Write a bundle."""
    root = project_root()
    found = find_run(root, run)
    path = out or Path(f"{found.info.run_id}.zip")
    click.echo(f"{path}: {export_run(root, found, path)} files, {path.stat().st_size / 2**20:.1f} MiB")


def imported(bundle: Path) -> None:
    """Take a bundle in."""
    click.echo(f"{bundle} is run {import_run(project_root(), bundle)} here")


def synced() -> int:
    """Run W&B's own synchronisation over the offline mirrors; return its exit status."""
    folders = sorted((project_root() / "wandb").glob("offline-run-*"))
    if not folders:
        raise OrreryError(
            "holds no offline mirror", file=Path("wandb"), remedy="train with tracking.wandb: offline"
        )
    command = [sys.executable, "-m", "wandb", "sync", "--no-include-synced", *map(str, folders)]
    return subprocess.run(command, check=False).returncode
