"""Models at work: predict, restore, and a product followed back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from orrery.cli.group import cli
from orrery.cli.options import PATH, shared_out, together

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
WHOLE_IMAGE = together(
    IMAGE, DEM, OUT, SUN_AZIMUTH, SUN_ELEVATION, MODEL, ALIGN, STRIDE, SCALE, IMAGE_BAND, DEM_BAND
)
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

STEREO = together(LEFT, RIGHT, TABLE, MEAN_COUNT, COUNT_SCALE)


@cli.command()
@click.argument("system")
@WHOLE_IMAGE
@STEREO
@shared_out
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
@WHOLE_IMAGE
@shared_out
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
@click.argument("system")
@MODEL
@click.option("--port", default=5001, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--root",
    "roots",
    type=PATH,
    multiple=True,
    help="Folder whose files may be read and written, repeat [default: ORRERY_SERVE_ROOTS, else the clone].",
)
def serve(system: str, model: str, port: int, roots: tuple[Path, ...]) -> None:
    """Answer requests for rasters by path and for plain tiles, by MLflow's protocol, on this machine alone."""
    from orrery.serving.server import serve as answer

    answer(system, model, port, roots)
