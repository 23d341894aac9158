"""The pipeline's stages, and what fills data/ before them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orrery.cli.group import cli
from orrery.cli.options import PATH, shared_out
from orrery.errors import OrreryError


@cli.command()
@click.option(
    "--source",
    type=click.Choice(["twin", "archive"]),
    default="twin",
    show_default=True,
    help="Where scenes come from.",
)
@click.option("--out", type=PATH, default=Path("data"), show_default=True, help="Folder to fill.")
@click.option("--catalogue", help="Archive: name of a catalogue, or its file.")
@click.option(
    "--scene", "scenes", multiple=True, help="Archive: pattern of scene names; repeat [default: all]."
)
@click.option(
    "--products",
    type=PATH,
    default=Path("products"),
    show_default=True,
    help="Archive: folder that keeps what is fetched.",
)
@click.option("--all-bands", is_flag=True, help="Archive: every wavelength, not the six browse bands alone.")
@click.option(
    "--version/--no-version", "versioned", default=True, help="Record the folder in data.dvc (dvc add)."
)
@shared_out
def ingest(
    source: str,
    out: Path,
    catalogue: str | None,
    scenes: tuple[str, ...],
    products: Path,
    all_bands: bool,
    versioned: bool,
) -> None:
    """Make the raw scenes under data/, or fetch them, and version them; workers share the twins' places."""
    if source == "archive":
        from orrery.stages import archive

        if catalogue is None:
            raise OrreryError("an archive needs a catalogue", remedy="give --catalogue NAME or FILE")
        archive.run(catalogue, out, products, only=scenes, all_bands=all_bands, versioned=versioned)
        return
    from orrery.stages import ingest as stage

    stage.run(out, versioned)


@cli.command()
@click.option("--site", "sites", multiple=True, help="Name of the place, or of a catalogue's; repeat.")
@click.option("--box", type=float, nargs=4, help="SOUTH NORTH WEST EAST, degrees, longitudes east.")
@click.option("--catalogue", help="Search the places of this one again, and compare.")
@click.option("--out", type=PATH, help="Catalogue to write.")
def search(
    sites: tuple[str, ...],
    box: tuple[float, float, float, float] | None,
    catalogue: str | None,
    out: Path | None,
) -> None:
    """Find pairs of CRISM cube and CTX image: the image covers the cube and is the nearest in time."""
    from orrery.stages import search as stage

    stage.run(sites, box, catalogue, out)


@cli.command()
@click.argument("system")
@shared_out
def align(system: str) -> None:
    """Bring raw scenes onto one grid and measure how well they fit."""
    from orrery.stages import align as stage

    stage.run(system)


@cli.command()
@click.argument("system")
def gate(system: str) -> None:
    """Judge the alignment; a critical failure exits with an error and names the scenes."""
    from orrery.stages import gate as stage

    stage.run(system)


@cli.command()
@click.argument("system")
@shared_out
def patch(system: str) -> None:
    """Cut aligned scenes into shards of patches."""
    from orrery.stages import patch as stage

    stage.run(system)


@cli.command()
@click.argument("system")
@click.option("--trials", type=click.IntRange(min=2), help="Settings to try in all [default: params.yaml].")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes here.")
@click.option("--storage", help="URL of a database that several hosts share [default: a file under build/].")
@click.option(
    "--confirm", "confirmed", type=int, help="Trial to confirm [default: the best of one objective]."
)
@click.option("--join", is_flag=True, help="Only try settings, for a study that another process ends.")
def tune(
    system: str, trials: int | None, workers: int, storage: str | None, confirmed: int | None, join: bool
) -> None:
    """Search loss weights and settings on the validation scenes; tuned/SYSTEM.yaml changes for a confirmed gain alone."""
    from orrery.stages import tune as stage

    stage.run(system, trials, workers, storage, confirmed, join=join)


@cli.command()
@click.argument("system")
@click.argument("variant")
def train(system: str, variant: str) -> None:
    """Train one variant; continues where a killed training stopped."""
    from orrery.stages import train as stage

    stage.run(system, variant)


@cli.command()
@click.argument("system")
@click.argument("variant")
def evaluate(system: str, variant: str) -> None:
    """Judge a trained variant on the frozen test scenes."""
    from orrery.stages import evaluate as stage

    stage.run(system, variant)


@cli.command()
@click.argument("system")
def tables(system: str) -> None:
    """Set the paper's tables beside ours: tables.json, tables.md, pictures."""
    from orrery.stages import tables as stage

    stage.run(system)


@cli.command()
@click.argument("system")
@click.argument("variant")
def register(system: str, variant: str) -> None:
    """Put a trained variant into the model registry, with its evidence."""
    from orrery.stages import register as stage

    stage.run(system, variant)


@cli.command()
@click.argument("system")
@click.option("--version", "version", help="Version to promote [default: the challenger].")
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
@click.option("--rollback", is_flag=True, help="Make the previous champion champion again.")
@click.option("--history", is_flag=True, help="List past verdicts.")
@click.option(
    "--allow-refusal", is_flag=True, help="Exit with 0 when the challenger is refused (for pipelines)."
)
@click.option("--summary", type=PATH, help="File to append the verdict to, as Markdown.")
def promote(
    system: str,
    version: str | None,
    dry_run: bool,
    rollback: bool,
    history: bool,
    allow_refusal: bool,
    summary: Path | None,
) -> None:
    """Compare the challenger with the champion on the frozen test set; move the alias by the rules of params.yaml."""
    from orrery.stages import promote as stage

    sys.exit(
        stage.run(
            system,
            version,
            dry_run=dry_run,
            rollback=rollback,
            history=history,
            allow_refusal=allow_refusal,
            summary=summary,
        )
    )
