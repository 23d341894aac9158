"""What stands beside an image or in its tags: the sun's direction and the time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orrery.errors import OrreryError
from orrery.files import read_json, reading
from orrery.raster.io import Source

SunTrueNorth = tuple[float, float]


def read_sidecar(image: Path) -> Mapping[str, Any]:
    """Properties of the STAC item beside an image: <stem>.json, or an item.json that names it; empty without one.

    Raises:
        OrreryError: there is one, and it is not readable.
    """
    own, folder = image.with_suffix(".json"), image.with_name("item.json")
    if own.exists():
        return _properties(read_json(own), own)
    if folder.exists():
        content = read_json(folder)
        assets = content.get("assets", {}) if isinstance(content, dict) else {}
        with reading(folder, "a STAC item", "make the scene again"):
            hrefs = [asset.get("href", "") for asset in assets.values() if isinstance(asset, dict)]
            names = [Path(href).name for href in hrefs]
        if image.name in names:
            return _properties(content, folder)
    return {}


def _properties(content: object, file: Path) -> Mapping[str, Any]:
    found = content.get("properties", content) if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise OrreryError(
            "is no STAC item",
            file=file,
            remedy="give it view:sun_azimuth and view:sun_elevation, or remove it",
        )
    return found


def sun_true_north(
    source: Source, sidecar: Mapping[str, Any], given: tuple[float | None, float | None]
) -> SunTrueNorth:
    """Azimuth from true north and elevation, degrees: as given, else from the side-car, else from the file's tags.

    Args:
        source: the open image, with its tags SUN_AZIMUTH and SUN_ELEVATION in any case of letters.
        sidecar: properties view:sun_azimuth and view:sun_elevation.
        given: either may be None.

    Raises:
        OrreryError: nobody tells, it is no angle, or the sun is not above the horizon.
    """
    azimuth, elevation = (
        _angle(found if value is None else value, name, source.path)
        for (name, found), value in zip(_told(source, sidecar).items(), given, strict=True)
    )
    if not 0 < elevation <= 90:
        raise OrreryError(
            f"its sun stands {elevation:g} degrees above the horizon, which lights no image",
            file=source.path,
            remedy="correct the elevation (--sun-elevation, above 0 and up to 90 degrees)",
        )
    return azimuth, elevation


def known_sun(source: Source, sidecar: Mapping[str, Any]) -> SunTrueNorth | None:
    """As `sun_true_north`, or None where nobody tells: for products that do not depend on it."""
    if all(value is None for value in _told(source, sidecar).values()):
        return None
    return sun_true_north(source, sidecar, (None, None))


def _told(source: Source, sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Azimuth and elevation as the side-car, else the file's tags have them; None where neither has."""
    tags = {key.lower(): value for key, value in source.tags.items()}
    return {name: sidecar.get(f"view:{name}", tags.get(name)) for name in ("sun_azimuth", "sun_elevation")}


def _angle(value: object, name: str, file: Path) -> float:
    try:
        angle = float(str(value))
    except ValueError:
        angle = math.nan
    if not math.isfinite(angle):
        option = f"--{name.replace('_', '-')}"
        problem = f"tells no {name}" if value is None else f"tells {name} {value!r}, which is no angle"
        raise OrreryError(
            problem,
            file=file,
            remedy=f"give {option} in degrees, or view:{name} in {file.stem}.json beside the image",
        )
    return angle
