"""A request for rasters by path, as it comes over the wire: checked, and kept inside the folders that are served."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orrery.errors import OrreryError
from orrery.files import read_json
from orrery.raster.scene import ITEM
from orrery.stages.predict import sources
from orrery.systems.resume import WORK
from orrery.tracking.lineage import PREFIX
from orrery.tracking.root import checkout_root

ROOTS = "ORRERY_SERVE_ROOTS"
REMEDY = f"name another place, or serve its folder (`orrery serve --root`, or {ROOTS})"
Images = Annotated[list[Path], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class RasterRequest(BaseModel):
    """One record: the options of `orrery predict`, called as they are there, without dashes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Images = []
    dem: Path | None = None
    out: Path
    sun_azimuth: float | None = None
    sun_elevation: float | None = None
    align: bool | None = None
    stride: Annotated[int, Field(ge=1, le=3)] | None = None
    scale: Annotated[float, Field(gt=0)] | None = None
    image_band: int | None = None
    dem_band: int | None = None
    left: Path | None = None
    right: Path | None = None
    table: str | None = None
    mean_count: Annotated[float, Field(gt=0)] | None = None
    count_scale: Annotated[float, Field(gt=0)] | None = None


def served_roots(named: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The folders that are served, links resolved: those named, else those of the environment variable, else the clone.

    Raises:
        OrreryError: one is no folder.
    """
    named = named or [Path(each) for each in os.environ.get(ROOTS, "").split(os.pathsep) if each]
    roots = tuple(folder.resolve() for folder in named or [checkout_root()])
    for folder in roots:
        if not folder.is_dir():
            raise OrreryError("is no folder that could be served", file=folder, remedy="check the path")
    return roots


def parsed(record: Mapping[str, Any], roots: Sequence[Path]) -> tuple[dict[str, Any], Path]:
    """The request of a record, as the predict stage takes it, and the folder of its product.

    Args:
        record: option -> value; None and NaN stand for an option that was not given, as in a table.
        roots: folders outside which nothing is read or written, links resolved.

    Raises:
        OrreryError: an option is unknown or senseless, or a path leads out.
    """
    given = {name: value for name, value in record.items() if value is not None and value == value}  # noqa: PLR0124
    try:
        told = RasterRequest.model_validate(given).model_dump()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}" for fault in error.errors()]
        raise OrreryError("; ".join(faults), remedy="name the options of `orrery predict`") from error
    out = _product_folder(confined(told.pop("out"), roots))
    sun = (told.pop("sun_azimuth"), told.pop("sun_elevation"))
    images = [confined(path, roots) for path in told.pop("image")]
    files = {name: confined(value, roots) for name, value in told.items() if isinstance(value, Path)}
    request = {**told, **files, "images": images, "sun": sun}
    for path in sources(request).values():  # a label's samples lie beside it, and may be a link
        confined(path, roots)
    return request, out


def confined(path: Path, roots: Sequence[Path]) -> Path:
    """An absolute path with its links resolved, inside one of the folders.

    Raises:
        OrreryError: it is relative, climbs, or leads out.
    """
    if not path.is_absolute() or ".." in path.parts:
        raise OrreryError("is not an absolute path without `..`", file=path, remedy=REMEDY)
    try:
        real = path.resolve()
        real.exists()  # complains of what `resolve` lets pass
    except (OSError, ValueError) as error:  # too long, or with a null character
        raise OrreryError(f"is no path ({error})", file=ascii(str(path)[:80]), remedy=REMEDY) from error
    if not any(real.is_relative_to(root) for root in roots):
        raise OrreryError("is outside the folders that are served", file=path, remedy=REMEDY)
    return real


def _product_folder(out: Path) -> Path:
    """A folder that is new, empty, or holds a product of ours, finished or under way: a request overwrites nothing else."""
    if not out.exists() or (out.is_dir() and (not any(out.iterdir()) or (out / WORK).is_dir() or _ours(out))):
        return out
    raise OrreryError("holds something else than a product", file=out, remedy="name a new folder")


def _ours(folder: Path) -> bool:
    item = folder / ITEM
    properties = read_json(item).get("properties", {}) if item.is_file() else {}
    return f"{PREFIX}model" in properties
