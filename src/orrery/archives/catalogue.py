"""Catalogues: which products make which scenes, as YAML that people read and programs check."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from orrery.archives.download import SAFE_NAME
from orrery.archives.product import Box
from orrery.errors import OrreryError
from orrery.files import reading, replacing
from orrery.params import NonNegative, Section, parse_yaml
from orrery.raster.grid import Body

Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=360)]
Name = Annotated[str, Field(pattern=f"^{SAFE_NAME.pattern}$")]


class BoxParams(Section):
    """An area, planetocentric degrees, longitudes east."""

    south: Latitude
    north: Latitude
    west: Longitude
    east: Longitude

    @property
    def box(self) -> Box:
        """The same for computing."""
        return Box(self.south, self.north, self.west, self.east)


class Site(Section):
    """A place with several scenes."""

    title: str
    box: BoxParams | None = None


class Kind(Section):
    """Where an asset's products come from: ODE's names, or addresses with `{id}` in them."""

    host: str | None = None
    instrument: str | None = None
    product_type: str | None = None
    files: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_way(self) -> Kind:
        searched = [self.host, self.instrument, self.product_type]
        if bool(self.files) == all(searched) or (self.files and any(searched)):
            raise ValueError("give either host, instrument and product_type, or files")
        return self


class SunTold(Section):
    """Where the sun was, as the source tells it: azimuth clockwise from north, elevation, degrees."""

    azimuth_deg: Annotated[float, Field(ge=0, le=360)]
    elevation_deg: Annotated[float, Field(gt=0, le=90)]


class Entry(Section):
    """One scene: a product for each asset."""

    scene: Name
    site: str
    set: Annotated[Literal["train", "val", "test"] | None, Field(description="none: left out")] = None
    products: dict[str, Name]
    time_difference_days: Annotated[NonNegative | None, Field(description="between the two images")] = None
    overlap_percent: Annotated[NonNegative | None, Field(description="with the site's other scenes")] = None
    sun: SunTold | None = None


class Catalogue(Section):
    """Scenes of one body that belong together, with their source."""

    name: Name
    body: Body
    source: str
    remarks: list[str] = Field(default_factory=list)
    kinds: dict[str, Kind]
    sites: dict[str, Site]
    scenes: list[Entry]

    @model_validator(mode="after")
    def _names_fit(self) -> Catalogue:
        names = [entry.scene for entry in self.scenes]
        if len(set(names)) < len(names):
            raise ValueError("two scenes have one name")
        for entry in self.scenes:
            unknown = {entry.site} - set(self.sites) | set(entry.products) - set(self.kinds)
            if unknown:
                raise ValueError(f"scenes.{entry.scene}: no site or kind {', '.join(sorted(unknown))}")
        return self


def names() -> list[str]:
    """Names of the catalogues that come with orrery."""
    folder = resources.files("orrery.archives") / "catalogues"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def read_catalogue(name_or_file: str) -> Catalogue:
    """A catalogue of orrery by name, or any by its file.

    Raises:
        OrreryError: there is none, or it is not a catalogue; the first mistake is named with its place.
    """
    path = Path(name_or_file)
    if name_or_file in names():
        text = (resources.files("orrery.archives") / "catalogues" / f"{name_or_file}.yaml").read_text("utf-8")
    elif path.is_file():
        with reading(path, "a catalogue", "give one in UTF-8"):
            text = path.read_text("utf-8")
    else:
        remedy = f"give a file, or one of {', '.join(names())}"
        raise OrreryError("is no catalogue", file=name_or_file, remedy=remedy)
    try:
        with reading(path, "YAML", "correct it there"):
            content = parse_yaml(text)
        return Catalogue.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = f"{place}: {first['msg']}" if place else first["msg"]
        raise OrreryError(problem, file=name_or_file, remedy="correct it there") from error


def write_catalogue(catalogue: Catalogue, path: Path) -> None:
    """Write it, atomically, a line a scene."""
    content: dict[str, Any] = catalogue.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for section in ("kinds", "sites"):
        content[section] = {key: _line(value) for key, value in content[section].items()}
    content["scenes"] = [_line(entry) for entry in content["scenes"]]
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    with replacing(path) as temporary:
        yaml.dump(content, temporary)


def _line(content: dict[str, Any]) -> CommentedMap:
    """A mapping that is written on one line."""
    line = CommentedMap(content)
    line.fa.set_flow_style()
    return line
