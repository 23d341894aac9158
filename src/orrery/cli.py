"""`orrery …`: the pipeline's stages as verbs, and predict, promote, lineage, ui.

Every command imports what it needs when it runs, so that `--help` is instant.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import click

from orrery import __version__
from orrery.errors import OrreryError

PATH = click.Path(path_type=Path)
# A disk or a permission that is at fault, wherever it shows: no traceback helps. Every other OSError is a bug.
ENVIRONMENT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    r"""Raw images of the Moon, Mars and Jupiter into calibrated, georeferenced maps with learned models.

    \b
    The pipeline (dvc repro runs these, each can be run by hand):
      ingest  ->  align  ->  gate  ->  patch  ->  train  ->  evaluate  ->  tables  ->  register  ->  promote
    A model at work:
      orrery predict lunar-dtm --image IMAGE --dem DEM --out FOLDER
      orrery predict mars-bands --image IMAGE --out FOLDER
      orrery predict kaguya-disparity --left TC1 --right TC2 --out FOLDER
      orrery restore mars-bands --cube CUBE --image IMAGE --out FOLDER
      orrery lineage FOLDER/dtm.tif
    """


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
def ingest(
    source: str,
    out: Path,
    catalogue: str | None,
    scenes: tuple[str, ...],
    products: Path,
    all_bands: bool,
    versioned: bool,
) -> None:
    """Make the raw scenes under data/, or fetch them, and version them."""
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
def patch(system: str) -> None:
    """Cut aligned scenes into shards of patches."""
    from orrery.stages import patch as stage

    stage.run(system)


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
def promote(
    system: str, version: str | None, dry_run: bool, rollback: bool, history: bool, allow_refusal: bool
) -> None:
    """Compare the challenger with the champion on the frozen test set; move the alias by the rules of params.yaml."""
    from orrery.stages import promote as stage

    sys.exit(
        stage.run(
            system, version, dry_run=dry_run, rollback=rollback, history=history, allow_refusal=allow_refusal
        )
    )


IMAGE = click.option(
    "--image",
    "images",
    type=PATH,
    multiple=True,
    help="Map-projected image; where the system makes mosaics, repeat it.",
)
DEM = click.option(
    "--dem", type=PATH, help="Coarse DEM of the area, heights in m; not every model wants one."
)
OUT = click.option("--out", type=PATH, required=True, help="Folder for the rasters, pictures and item.json.")
SUN_AZIMUTH = click.option(
    "--sun-azimuth",
    type=float,
    help="Degrees clockwise from true north [default: from the image's metadata].",
)
SUN_ELEVATION = click.option(
    "--sun-elevation", type=float, help="Degrees above the horizon [default: from the image's metadata]."
)
MODEL = click.option("--model", default="champion", show_default=True, help="Registry alias or version.")
ALIGN = click.option(
    "--align/--no-align", "align", default=None, help="Correct positions first [default: align]."
)
STRIDE = click.option(
    "--stride",
    type=click.IntRange(1, 3),
    help="Tiles over each pixel in each direction [default: params.yaml].",
)
SCALE = click.option(
    "--scale", type=click.FloatRange(0, min_open=True), help="Factor that makes the image's values I/F."
)
IMAGE_BAND = click.option("--image-band", type=int, help="Band of the images to read [default: 1].")
DEM_BAND = click.option("--dem-band", type=int, help="Band of the DEM to read [default: 1].")
LEFT = click.option(
    "--left", type=PATH, help="Stereo: image of the telescope that looks ahead (label or image)."
)
RIGHT = click.option("--right", type=PATH, help="Stereo: image of the one that looks back.")
TABLE = click.option(
    "--table",
    help="Stereo: quantisation table, where no label tells it; an uncompressed pair is compressed with it.",
)
MEAN_COUNT = click.option(
    "--mean-count",
    type=click.FloatRange(0, min_open=True),
    help="Stereo: mean to which an uncompressed pair is brought before that [default: as it is].",
)
COUNT_SCALE = click.option(
    "--count-scale",
    type=click.FloatRange(0, min_open=True),
    help="Stereo: factor that makes the values of images without a label counts.",
)


@cli.command()
@click.argument("system")
@IMAGE
@DEM
@OUT
@SUN_AZIMUTH
@SUN_ELEVATION
@MODEL
@ALIGN
@STRIDE
@SCALE
@IMAGE_BAND
@DEM_BAND
@LEFT
@RIGHT
@TABLE
@MEAN_COUNT
@COUNT_SCALE
def predict(
    system: str,
    out: Path,
    model: str,
    sun_azimuth: float | None,
    sun_elevation: float | None,
    **request: Any,
) -> None:
    """Turn whole images, with a coarse DEM or as a stereo pair where the model wants it, into a georeferenced product with its uncertainty and lineage.

    A system takes the options that mean something to it, and says so of the others.
    """
    from orrery.stages import predict as stage

    stage.run(system, {**request, "sun": (sun_azimuth, sun_elevation)}, out, model)


@cli.command()
@click.argument("system")
@click.option("--cube", type=PATH, required=True, help="Faulty observation.")
@IMAGE
@DEM
@OUT
@SUN_AZIMUTH
@SUN_ELEVATION
@MODEL
@ALIGN
@STRIDE
@SCALE
@IMAGE_BAND
@DEM_BAND
def restore(
    system: str,
    out: Path,
    model: str,
    sun_azimuth: float | None,
    sun_elevation: float | None,
    **request: Any,
) -> None:
    """Fill what a faulty observation lacks by a prediction that is matched to it; each pixel tells which it is."""
    from orrery.stages import predict as stage

    stage.run(system, {**request, "sun": (sun_azimuth, sun_elevation)}, out, model, "restore")


@cli.command()
@click.argument("product", type=PATH)
def lineage(product: Path) -> None:
    """Follow a product back: model version, run, commit, data, source files; broken links are named."""
    from orrery.tracking.lineage import trace

    found = trace(product)
    for line in found.lines():
        click.echo(line)
    sys.exit(1 if found.broken else 0)


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


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        cli()
    except OrreryError as error:
        click.echo(f"orrery: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno not in ENVIRONMENT:
            raise
        click.echo(
            f"orrery: {error.filename or 'a file'}: {error.strerror}; free space or check the path", err=True
        )
        sys.exit(2)
