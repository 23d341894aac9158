"""A scene: a folder with a STAC item and the rasters that it names.

The item follows STAC 1.1 with the extensions view, projection and Solar System. Scenes of the twin carry besides
`orrery:kind` (terrain or region), `orrery:site`, `orrery:twin` and `orrery:truth`: affine maps (`AffineMap.to_dict`)
that lead from positions as written in a file to the true ones in the frame of the first image. A Martian cube's
truth is two steps, `affine` and then `field` (`SmoothField.to_dict`), from positions brought to that image's projection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

import pystac

from orrery.errors import OrreryError
from orrery.files import read_json, reading, write_json
from orrery.raster.grid import Body, Grid

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
            OrreryError: the item does not tell, or the sun is below the horizon.
        """
        properties, file = self.item.properties, self.folder / ITEM
        try:
            azimuth, elevation = (float(properties[f"view:sun_{name}"]) for name in ("azimuth", "elevation"))
        except (KeyError, TypeError, ValueError) as error:
            remedy = "add view:sun_azimuth (from true north) and view:sun_elevation, degrees"
            raise OrreryError("tells no sun direction", file=file, remedy=remedy) from error
        if not (isfinite(azimuth) and 0 < elevation <= 90):
            problem = f"has a sun at azimuth {azimuth} and elevation {elevation} degrees"
            raise OrreryError(
                problem, file=file, remedy="give a finite azimuth and an elevation above the horizon"
            )
        return azimuth, elevation

    def asset(self, name: str) -> Path | None:
        """Path of an asset; None when the scene has none of that name.

        Raises:
            OrreryError: its link leads out of the folder.
        """
        asset = self.item.assets.get(name)
        if asset is None:
            return None
        with reading(self.folder / ITEM, f"an item whose asset {name!r} is a file", "use relative hrefs"):
            path = (self.folder / asset.href).resolve()
        if "://" in asset.href or self.folder.resolve() not in path.parents:
            problem = f"asset {name!r} lies outside its folder"
            raise OrreryError(problem, file=self.folder / ITEM, remedy="use relative hrefs")
        return path


def read_scene(folder: Path) -> Scene:
    """Read a folder's item.

    Raises:
        OrreryError: there is none, or it is no STAC item.
    """
    content = read_json(folder / ITEM)
    with reading(folder / ITEM, "a STAC item", "make the scene again"):
        try:
            item = pystac.Item.from_dict(content, migrate=False)
        except (pystac.STACError, pystac.STACTypeError) as error:
            raise ValueError(str(error)) from error
        if not isinstance(item.id, str) or not isinstance(item.properties, dict):
            raise TypeError("its id is no text, or its properties are no mapping")
        return Scene(folder, item)


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
    sun_true_north: tuple[float, float] | None,
    properties: Mapping[str, Any],
    when: datetime,
    body: Body = "moon",
    links: Sequence[Mapping[str, str]] = (),
    extensions: Sequence[str] = (),
) -> None:
    """Write a folder's item, whole or not at all.

    Args:
        folder: where the assets are.
        identifier: name of the scene.
        assets: name (`image_l`, `sldem`, …) -> file, relative to the folder.
        grid: of the first image; gives footprint, GSD and projection.
        sun_true_north: azimuth clockwise from true north, and elevation, degrees; None where nobody tells.
        properties: further ones, e.g. `orrery:kind`.
        when: time of the image, with a time zone; given, never "now", so that equal input is equal bytes.
        body: Solar System body.
        links: to other files.
        extensions: of STAC that further properties and links belong to.
    """
    footprint = grid.footprint()
    longitudes, latitudes = zip(*footprint["coordinates"][0], strict=True)
    sun = {}
    if sun_true_north is not None:
        azimuth, elevation = sun_true_north
        sun = {"view:sun_azimuth": round(azimuth % 360, 6), "view:sun_elevation": round(elevation, 6)}
    item = pystac.Item(
        identifier,
        footprint,
        [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        when,
        {
            "ssys:targets": [body.capitalize()],
            **sun,
            "gsd": round(grid.gsd_m, 6),
            "proj:wkt2": grid.crs.to_wkt(version="WKT2_2019"),
            "proj:shape": [grid.height, grid.width],
            "proj:transform": [float(value) for value in grid.transform[:6]],
            **properties,
        },
        stac_extensions=[*EXTENSIONS, *extensions],
    )
    for name, href in assets.items():
        kind = pystac.MediaType.GEOTIFF if href.endswith(".tif") else None
        item.add_asset(name, pystac.Asset(href, media_type=kind, roles=["data"]))
    content = item.to_dict(include_self_link=False, transform_hrefs=False)
    write_json(folder / ITEM, {**content, "links": list(links)})
