"""The STAC item of a product: what it was derived from, with checksums, and when its image was taken."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orrery.errors import OrreryError
from orrery.raster.grid import Body, Grid
from orrery.raster.scene import write_scene

FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
UNKNOWN_TIME = datetime(
    1970, 1, 1, tzinfo=UTC
)  # STAC asks for a time; the property says that it is not known


def write_item(
    path: Path,
    out: Path,
    assets: Mapping[str, str],
    grid: Grid,
    sources: Mapping[Path, str],
    properties: Mapping[str, Any],
    *,
    image: Path,
    taken: str | None,
    sun_true_north: tuple[float, float] | None,
    body: Body,
) -> None:
    """Write a product's item, with a link to each source and its checksum.

    Args:
        path: the item, where it is made.
        out: folder in which the product will be, for links; the item is called as it is.
        assets: name -> file, relative to the folder.
        grid: of the product.
        sources: input file -> its SHA-256.
        properties: further ones.
        image: the first image, named when its time is none.
        taken: when, in ISO 8601; None where nobody tells.
        sun_true_north: azimuth and elevation, degrees; None where nobody tells.
        body: on which it lies.

    Raises:
        OrreryError: `taken` is no time.
    """
    known = {"orrery:time_known": taken is not None, **properties}
    links = [
        {
            "rel": "derived_from",
            "href": _relative(source, out),
            "title": source.name,
            "file:checksum": f"1220{digest}",
        }
        for source, digest in sources.items()
    ]
    write_scene(
        path.parent, out.resolve().name, assets, grid, sun_true_north, known, item_time(taken, image), body,
        links, [FILE_EXTENSION],
    )  # fmt: skip


def item_time(taken: str | None, image: Path) -> datetime:
    """When an image was taken, with a time zone; 1970 where nobody tells.

    Raises:
        OrreryError: what is told is no time.
    """
    if taken is None:
        return UNKNOWN_TIME
    try:
        when = datetime.fromisoformat(taken)
    except ValueError as error:
        raise OrreryError(
            f"was taken at {taken!r}, which is no time",
            file=image,
            remedy="give its side-car an ISO 8601 time",
        ) from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _relative(source: Path, out: Path) -> str:
    """Link from the product's folder to a source: products move together with their sources, or not at all."""
    return Path(os.path.relpath(source.resolve(), out.resolve())).as_posix()
