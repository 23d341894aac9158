"""A scene: a folder with a STAC item and the rasters that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac

from orrery.errors import OrreryError
from orrery.files import read_json, write_json
from orrery.raster.grid import Grid

ITEM = "item.json"
EXTENSIONS = [
    "https://stac-extensions.github.io/ssys/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
]


@dataclass(frozen=True)
class Scene:
    """A STAC item and its folder."""

    folder: Path
    item: pystac.Item

    @property
    def id(self) -> str:
        """Name of the scene."""
        return str(self.item.id)

    @property
    def site(self) -> str:
        """Name of the place; scenes of one place share it."""
        return str(self.item.properties.get("orrery:site", self.id))

    @property
    def kind(self) -> str:
        """Terrain: flat, mountain or wall; "mountain" (the strictest gate) where nobody said."""
        return str(self.item.properties.get("orrery:kind", "mountain"))

    @property
    def sun_true_north(self) -> tuple[float, float]:
        """Azimuth clockwise from true north and elevation, degrees.

        Raises:
            OrreryError: the item does not tell.
        """
        try:
            properties = self.item.properties
            return float(properties["view:sun_azimuth"]), float(properties["view:sun_elevation"])
        except (KeyError, TypeError, ValueError) as error:
            raise OrreryError(
                "tells no sun direction",
                file=self.folder / ITEM,
                remedy="add view:sun_azimuth (from true north) and view:sun_elevation, degrees",
            ) from error

    def asset(self, name: str) -> Path | None:
        """Path of an asset; None when the scene has none of that name."""
        asset = self.item.assets.get(name)
        if asset is None:
            return None
        path = (self.folder / asset.href).resolve()
        if self.folder.resolve() not in path.parents:
            raise OrreryError(f"asset {name!r} lies outside its folder", file=self.folder / ITEM, remedy="use relative hrefs")
        return path


def read_scene(folder: Path) -> Scene:
    """Read a folder's item.

    Raises:
        OrreryError: there is none, or it is no STAC item.
    """
    content = read_json(folder / ITEM)
    try:
        return Scene(folder, pystac.Item.from_dict(content, migrate=False))
    except (pystac.STACError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise OrreryError(f"is no STAC item ({error})", file=folder / ITEM, remedy="make the scene again") from error


def list_scenes(root: Path) -> list[Scene]:
    """All scenes in the folders directly under `root`, by name.

    Raises:
        OrreryError: there are none.
    """
    folders = sorted(path.parent for path in root.glob(f"*/{ITEM}"))
    if not folders:
        raise OrreryError("holds no scene", file=root, remedy="run `dvc pull` or `orrery ingest`")
    return [read_scene(folder) for folder in folders]


def write_scene(
    folder: Path,
    identifier: str,
    assets: Mapping[str, str],
    grid: Grid,
    sun_true_north: tuple[float, float],
    properties: Mapping[str, Any],
    when: datetime,
    body: str = "moon",
) -> None:
    """Write a folder's item.

    Args:
        folder: where the assets are.
        identifier: name of the scene.
        assets: role -> file name, relative.
        grid: of the first image.
        sun_true_north: azimuth from true north and elevation, degrees.
        properties: further ones.
        when: time of the image.
        body: Solar System body.
    """
    footprint = grid.footprint()
    longitudes, latitudes = zip(*footprint["coordinates"][0], strict=True)
    azimuth, elevation = sun_true_north
    item = pystac.Item(
        identifier,
        footprint,
        [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        when,
        {
            "ssys:targets": [body.capitalize()],
            "view:sun_azimuth": round(azimuth % 360, 6),
            "view:sun_elevation": round(elevation, 6),
            "gsd": round(grid.gsd_m, 6),
            "proj:wkt2": grid.crs.to_wkt(),
            "proj:shape": [grid.height, grid.width],
            "proj:transform": [float(value) for value in grid.transform[:6]],
            **properties,
        },
        stac_extensions=EXTENSIONS,
    )
    for name, href in assets.items():
        kind = pystac.MediaType.GEOTIFF if href.endswith(".tif") else None
        item.add_asset(name, pystac.Asset(href, media_type=kind, roles=["data"]))
    write_json(folder / ITEM, item.to_dict(include_self_link=False, transform_hrefs=False))
