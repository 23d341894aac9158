"""Pictures inside a page: as data in its text, so that one file is all of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from orrery.errors import OrreryError
from orrery.systems.base import COMPARED

QUALITY = 84  # of WebP: a third of PNG's size, and no difference that is seen


@dataclass(frozen=True)
class Picture:
    """A picture in a page.

    Attributes:
        title: what it shows.
        source: a data address.
        width_px: as drawn.
        height_px: as drawn.
    """

    title: str
    source: str
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Comparison:
    """Pictures of one ground, to be laid over each other; what went in first, what came out second."""

    scene: str
    pictures: tuple[Picture, ...]


def embedded(path: Path, title: str | None = None) -> Picture:
    """A picture file as data.

    Args:
        path: in any format that Pillow reads.
        title: what it shows [default: the file's own title, else its name].

    Raises:
        OrreryError: it is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            image.load()
            named = title or str(image.info.get("Title") or path.stem)
            packed = BytesIO()
            image.convert("RGBA").save(packed, "WEBP", quality=QUALITY, method=2)
            width, height = image.size
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        problem = f"is not a readable picture ({error})"
        raise OrreryError(
            problem, file=path, remedy="make it anew: `dvc repro --force` of its stage"
        ) from error
    data = base64.b64encode(packed.getvalue()).decode()
    return Picture(named, f"data:image/webp;base64,{data}", width, height)


def comparisons(report: Path) -> list[Comparison]:
    """What a variant's evaluation left to be compared, a scene each."""
    folders = sorted(path for path in (report / COMPARED).glob("*") if path.is_dir())
    found = [
        Comparison(folder.name, tuple(embedded(path) for path in sorted(folder.glob("*.png"))))
        for folder in folders
    ]
    return [each for each in found if len(each.pictures) > 1]


def plain(folder: Path) -> list[Picture]:
    """All pictures that lie in a folder itself."""
    return [embedded(path) for path in sorted(folder.glob("*.png"))]
