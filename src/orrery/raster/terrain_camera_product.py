"""Products of Kaguya's Terrain Camera: a PDS3 label, and an image beside it as it is (.img) or packed by gzip (.igz).

GDAL opens neither. Level 2B0 holds radiance; a table of on-board compression acts on counts, so counts are what is read.
"""

from __future__ import annotations

import glob
import gzip
import math
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pvl
from affine import Affine
from numpy.typing import NDArray
from pvl.collections import Quantity
from pvl.exceptions import ParseError, QuantityError
from pvl.parser import PVLParser

from orrery.errors import OrreryError
from orrery.files import replacing, write_text
from orrery.instruments.terrain_camera import DN_PER_COUNT, GSD_M, INVALID_DN
from orrery.raster.grid import RADIUS_M, Grid
from orrery.raster.io import read
from orrery.raster.projections import equirectangular

Array = NDArray[np.float32]

IMAGE_SUFFIXES = (".igz", ".img")
SAMPLE_TYPES = {"MSB_INTEGER": ">i2", "LSB_INTEGER": "<i2", "MSB_UNSIGNED_INTEGER": ">u2"}
CORNERS = ("UPPER_LEFT", "UPPER_RIGHT", "LOWER_RIGHT", "LOWER_LEFT")
NONE = ("N/A", "NONE", "")
# What pvl raises on a damaged label; what it lets through is checked key by key.
PVL_ERRORS = (
    ParseError,
    QuantityError,
    StopIteration,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RecursionError,
)


@dataclass(frozen=True)
class Product:
    """An image of one telescope.

    Attributes:
        path: the label, or the raster that was given.
        counts: (H, W) of the analogue-to-digital converter, NaN invalid.
        name: PRODUCT_ID; the file's name without a label.
        camera: TC1 or TC2; empty without a label.
        table: Q_TABLE_ID, of an image compressed on board; None for one that was not.
        compressed: whether it was.
        grid: where it lies, from the label's corners or the raster's own; None where nobody tells.
        taken: start time, ISO 8601; None where nobody tells.
        sun_true_north: azimuth and elevation, degrees; None where nobody tells.
        image: file of the samples; None for a raster, which holds them itself.
        told: further keys of the label, as text.
    """

    path: Path
    counts: Array
    name: str
    camera: str
    table: str | None
    compressed: bool
    grid: Grid | None
    taken: str | None = None
    sun_true_north: tuple[float, float] | None = None
    image: Path | None = None
    told: Mapping[str, str] = field(default_factory=dict)


def read_product(path: Path, scale: float | None = None) -> Product:
    """Read a label with its image, an image with its label, or, with a scale, any raster.

    Args:
        path: .lbl, .img or .igz of a product; else a raster.
        scale: factor that makes a raster's values counts. A raster without a label is taken only with it.

    Raises:
        OrreryError: missing, truncated, no product of this camera, or a raster without a stated scale.
    """
    if path.suffix.lower() not in (".lbl", *IMAGE_SUFFIXES):
        return _raster(path, scale)
    label_path, image_path = _both(path)
    label = _label(label_path)
    values = _samples(image_path, label, label_path)
    exposure = _text(label, "EXPOSURE_MODE_ID")
    if exposure not in DN_PER_COUNT:
        problem = f"tells EXPOSURE_MODE_ID {exposure!r}, of which the scale of counts is not known"
        raise OrreryError(problem, file=label_path, remedy=f"it is one of {', '.join(DN_PER_COUNT)}")
    counts = np.where(values > max(INVALID_DN.values()), values / np.float32(DN_PER_COUNT[exposure]), np.nan)
    if not np.isfinite(counts).any():
        raise OrreryError("holds no valid pixel", file=image_path, remedy="give another product")
    table = _text(label, "Q_TABLE_ID")
    compressed = _text(label["IMAGE"], "COMPRESSION_TYPE") not in NONE
    return Product(
        label_path,
        counts.astype(np.float32),
        _text(label, "PRODUCT_ID"),
        _text(label, "INSTRUMENT_ID"),
        table if table not in NONE else None,
        compressed,
        _grid(label, *counts.shape),
        _time(label),
        _sun(label),
        image_path,
        {key: _text(label, key) for key in ("EXPOSURE_MODE_ID", "HUFFMAN_TABLE_ID", "SWATH_MODE_ID", "RAD_CNV_COEF")
         if key in label},
    )  # fmt: skip


def _raster(path: Path, scale: float | None) -> Product:
    """A raster of GDAL's: its values times the scale are counts."""
    if scale is None:
        problem = "is no product of the Terrain Camera, so what one count is is not known"
        raise OrreryError(
            problem, file=path, remedy="give --count-scale, the factor that makes its values counts"
        )
    raster = read(path, body=None)
    grid = raster.grid if raster.grid.crs else None
    return Product(path, raster.values * np.float32(scale), path.stem, "", None, True, grid)


def _both(path: Path) -> tuple[Path, Path]:
    """Label and image of one name, whichever was given."""
    suffixes = {path.suffix.lower(), path.suffix.upper(), path.suffix}
    if not path.is_file():
        raise OrreryError("does not exist", file=path, remedy="check the path")
    siblings = {
        other.suffix.lower(): other for other in sorted(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    }
    label = path if ".lbl" in suffixes else siblings.get(".lbl")
    image = (
        path if ".lbl" not in suffixes else next((siblings[s] for s in IMAGE_SUFFIXES if s in siblings), None)
    )
    if label is None:
        raise OrreryError("has no label", file=path, remedy=f"put {path.stem}.lbl beside it")
    if image is None:
        raise OrreryError("has no image", file=path, remedy=f"put {path.stem}.img or .igz beside it")
    return label, image


def _label(path: Path) -> Mapping[str, Any]:
    """The label of a product of this camera."""
    remedy = "give a Level 2B0 product of SELENE's Terrain Camera"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pvl: what matters is checked below
            # pvl's own choice, its permissive parser, never ends where a stray "=" follows a value
            label: Mapping[str, Any] = pvl.loads(path.read_text("utf-8"), parser=PVLParser())
    except (OSError, *PVL_ERRORS) as error:
        problem = f"is no PDS3 label ({' '.join(str(error).split())[:120]})"
        raise OrreryError(problem, file=path, remedy=remedy) from error
    if _text(label, "INSTRUMENT_ID") not in ("TC1", "TC2"):
        problem = f"is of {_text(label, 'INSTRUMENT_ID') or 'no instrument'}, not of TC1 or TC2"
        raise OrreryError(problem, file=path, remedy=remedy)
    if not isinstance(label.get("IMAGE"), Mapping):
        raise OrreryError("has no object IMAGE, or more than one", file=path, remedy="fetch the label again")
    return label


def _samples(path: Path, label: Mapping[str, Any], label_path: Path) -> Array:
    """(H, W) numbers as they are stored."""
    image = label["IMAGE"]
    try:
        shape = int(_number(image, "LINES")), int(_number(image, "LINE_SAMPLES"))
        kind = SAMPLE_TYPES[_text(image, "SAMPLE_TYPE")]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        problem = "does not tell LINES, LINE_SAMPLES and a 16-bit SAMPLE_TYPE"
        raise OrreryError(problem, file=label_path, remedy="fetch the label again") from error
    if _text(image, "SAMPLE_BITS") != "16" or not (0 < shape[0] < 2**24 and 0 < shape[1] <= 2**14):
        problem = f"tells {_text(image, 'SAMPLE_BITS')} bits and {shape[0]} x {shape[1]} samples"
        raise OrreryError(problem, file=label_path, remedy="fetch the label again")
    wanted = shape[0] * shape[1] * 2
    content = _bytes(path, wanted)
    if len(content) < wanted:
        problem = f"holds {len(content)} bytes of the {wanted} that its label tells"
        raise OrreryError(problem, file=path, remedy="fetch it again")
    return np.frombuffer(content[:wanted], kind).reshape(shape).astype(np.float32)


def _bytes(path: Path, wanted: int) -> bytes:
    """The first bytes of an image, unpacked."""
    try:
        if path.suffix.lower() == ".igz":
            with gzip.open(path) as stream:
                content = stream.read(wanted)
                stream.read(1)  # at the end of the file its check sum is compared
                return content
        with path.open("rb") as stream:
            return stream.read(wanted)
    except (OSError, EOFError, zlib.error) as error:
        problem = f"cannot be read ({' '.join(str(error).split())})"
        raise OrreryError(problem, file=path, remedy="fetch it again") from error


def _value(label: Mapping[str, Any], key: str) -> Any:
    """A value without its unit; the first of a sequence."""
    value = label.get(key)
    if isinstance(value, (list, tuple)) and not isinstance(value, Quantity):
        value = value[0] if value else None
    return value.value if isinstance(value, Quantity) else value


def _text(label: Mapping[str, Any], key: str) -> str:
    value = _value(label, key)
    return "" if value is None else str(value).strip()


def _number(label: Mapping[str, Any], key: str) -> float:
    """A finite number; NaN where there is none."""
    value = _value(label, key)
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        return math.nan
    return number if math.isfinite(number) else math.nan


def _grid(label: Mapping[str, Any], height: int, width: int) -> Grid | None:
    """The best affine map through the four corners, on an equirectangular projection true to scale in their middle."""
    latitude, longitude = (
        np.array([_number(label, f"{corner}_{name}") for corner in CORNERS])
        for name in ("LATITUDE", "LONGITUDE")
    )
    if not (np.isfinite(latitude).all() and np.isfinite(longitude).all() and np.abs(latitude).max() < 89):
        return None
    middle = round(float(latitude.mean()), 1)
    per_degree = math.radians(RADIUS_M["moon"])
    east = (longitude - longitude[0] + 180) % 360 - 180 + longitude[0]
    x, y = east * per_degree * math.cos(math.radians(middle)), latitude * per_degree
    corners = np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], float)
    (a, d), (b, e), (c, f) = np.linalg.lstsq(corners, np.column_stack([x, y]), rcond=None)[0]
    transform = Affine(a, b, c, d, e, f)
    if not 0.01 < abs(transform.determinant) ** 0.5 / GSD_M < 100:
        return None
    return Grid(equirectangular("moon", middle), transform, height, width)


def _time(label: Mapping[str, Any]) -> str | None:
    value = _value(label, "START_TIME")
    return value.isoformat() if hasattr(value, "isoformat") else None


def _sun(label: Mapping[str, Any]) -> tuple[float, float] | None:
    azimuth, incidence = _number(label, "SOLAR_AZIMUTH_ANGLE"), _number(label, "INCIDENCE_ANGLE")
    return (azimuth, 90 - incidence) if math.isfinite(azimuth) and 0 <= incidence < 90 else None


def write_product(
    label_path: Path, counts: Array, keys: Mapping[str, Any], image_keys: Mapping[str, Any]
) -> None:
    """Write a label and its image (.igz) as the archive has them; equal content is equal bytes.

    Args:
        label_path: of the label; the image gets its name.
        counts: (H, W), NaN invalid.
        keys: of the label, EXPOSURE_MODE_ID, INSTRUMENT_ID and PRODUCT_ID among them; numbers with a unit as (number, unit).
        image_keys: further ones of its object IMAGE.
    """
    scale = np.float32(DN_PER_COUNT[keys["EXPOSURE_MODE_ID"]])
    numbers = np.where(np.isfinite(counts), np.rint(np.nan_to_num(counts) * scale), INVALID_DN["OTHER"])
    image_path = label_path.with_suffix(".igz")
    with replacing(image_path) as temporary:
        # neither a name nor a time goes into the file: equal content is equal bytes
        temporary.write_bytes(gzip.compress(numbers.astype(">i2").tobytes(), 9, mtime=0))
    shape = {
        "LINES": counts.shape[0],
        "LINE_SAMPLES": counts.shape[1],
        "SAMPLE_TYPE": "MSB_INTEGER",
        "SAMPLE_BITS": 16,
    }
    lines = [
        "PDS_VERSION_ID = PDS3",
        f'^IMAGE = ("{image_path.name}", 1 <BYTES>)',
        *_lines(keys),
        "OBJECT = IMAGE",
    ]
    lines += [*("  " + line for line in _lines({**shape, **image_keys})), "END_OBJECT = IMAGE", "END"]
    write_text(label_path, "\n".join(lines) + "\n")


def _lines(keys: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} = {f'{value[0]} <{value[1]}>' if isinstance(value, tuple) else value}"
        for key, value in keys.items()
    ]
