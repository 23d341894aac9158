"""Files that come from elsewhere: products, catalogues, scenes, and what people write by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from orrery.archives.catalogue import Kind, read_catalogue
from orrery.archives.download import Part
from orrery.archives.fetching import FACTS, Shelf
from orrery.archives.http import Http
from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.instruments.quantisation import ANNEX_K, read_table
from orrery.params import load_params
from orrery.raster.cube import read_cube
from orrery.raster.grid import Grid
from orrery.raster.io import open_windows, read, write
from orrery.raster.scene import read_scene, write_scene
from orrery.raster.sidecar import known_sun, read_sidecar
from orrery.raster.terrain_camera_product import read_product, write_product
from orrery.systems.base import get_section
from orrery.tracking.provenance import tracked_md5
from tests.faults.fuzzing import Reader
from tests.unit.raster.raster_files import FORMATS, lunar_grid, ramp, write_ctx_edr, write_format

ROOT = Path(__file__).parents[2]
MARS = CRS.from_string("IAU_2015:49910")
COUNTS = np.random.default_rng(0).normal(200, 30, (40, 32)).astype(np.float32)
CODES = (np.arange(30)[:, None] + np.arange(200) // 8).astype(np.uint8) + 1
WAVELENGTHS_UM = (0.44263, 0.53374, 0.59235)
Read = Callable[[], Any]


def raster(kind: str) -> Reader:
    names = {"geotiff": ["a.tif"], "cog": ["b.tif"], "pds3 detached": ["c.lbl", "c.IMG"], "pds3 attached": ["d.img"],
             "isis": ["e.cub"], "vicar": ["f.vic"], "pds4": ["g.xml", "g.img"]}[kind]  # fmt: skip

    def make(folder: Path) -> Read:
        path = write_format(kind, folder, ramp(100, 200))  # GDAL takes a cut off a smaller one for zeros

        def whole() -> Any:
            found = read(path)
            assert found.values.shape == found.grid.shape
            assert not np.isinf(found.values).any()
            return found.values, found.grid.transform[:6]

        return whole

    return Reader(kind, make, names, about=[Path(name).stem for name in names], cut_is_seen=True)


def context_camera(folder: Path) -> Read:
    path = write_ctx_edr(folder / "P04.IMG", CODES)
    return lambda: read(path, body=None).values


def _cube(folder: Path) -> Path:
    grid = Grid(MARS, Affine(18.0, 0, 1000, 0, -18.0, 2000), 20, 16)
    plane = 0.1 + np.arange(320, dtype=np.float32).reshape(20, 16) / 3200
    write(folder / "crism.tif", {f"{1e3 * um:.2f} nm": plane * um for um in WAVELENGTHS_UM}, grid)
    return folder / "crism.tif"


def cube(folder: Path) -> Read:
    path = _cube(folder)
    return lambda: read_cube(path, [592, 442]).values


def header_cube(folder: Path) -> Read:
    """As TRR3 is handed out: samples, and an ENVI header beside them."""
    values = np.random.default_rng(1).uniform(0.1, 0.3, (len(WAVELENGTHS_UM), 24, 20)).astype("<f4")
    values.transpose(1, 0, 2).tofile(folder / "frt.img")
    named = ", ".join(f"{um:.5f}" for um in WAVELENGTHS_UM)
    (folder / "frt.hdr").write_text(
        "ENVI\nsamples = 20\nlines = 24\nbands = 3\nheader offset = 0\nfile type = ENVI Standard\ndata type = 4\n"
        f"interleave = bil\nbyte order = 0\nwavelength units = Micrometers\nwavelength = {{ {named} }}\n"
    )

    def whole() -> Any:
        found = read_cube(folder / "frt.img", body=None)
        return found.values, found.wavelengths_nm

    return whole


def wavelengths(folder: Path) -> Read:
    path = _cube(folder)
    rows = "".join(f"{number},{1e3 * um}\n" for number, um in enumerate(WAVELENGTHS_UM))
    (folder / "bands.csv").write_text("# of the cube beside\nband,wavelength_nm\n" + rows)
    return lambda: read_cube(path, table=folder / "bands.csv").wavelengths_nm


def terrain_camera(folder: Path) -> Read:
    keys = {"PRODUCT_ID": '"TC1-TEST"', "INSTRUMENT_ID": "TC1", "EXPOSURE_MODE_ID": "MIDDLE", "Q_TABLE_ID": "N/A",
            "START_TIME": "2008-12-07T05:04:34", "INCIDENCE_ANGLE": (55.0, "deg"), "SOLAR_AZIMUTH_ANGLE": (100.0, "deg"),
            "UPPER_LEFT_LATITUDE": (-1.0, "deg"), "UPPER_LEFT_LONGITUDE": (3.0, "deg")}  # fmt: skip
    write_product(folder / "tc1.lbl", COUNTS, keys, {"COMPRESSION_TYPE": "N/A"})
    return lambda: vars(read_product(folder / "tc1.lbl"))


def unpacked_terrain_camera(folder: Path) -> Read:
    terrain_camera(folder)
    counts = np.rint(COUNTS * 10).astype(">i2")
    (folder / "tc1.igz").unlink()
    (folder / "tc1.img").write_bytes(counts.tobytes())
    return lambda: vars(read_product(folder / "tc1.img"))


def scene(folder: Path) -> Read:
    assets = {"image": "image.tif", "sldem": "sldem.tif"}
    write_scene(
        folder,
        "a-scene",
        assets,
        lunar_grid(),
        (100.0, 35.0),
        {"orrery:kind": "flat"},
        datetime(2026, 1, 2, tzinfo=UTC),
    )

    def whole() -> Any:
        found = read_scene(folder)
        return found.id, found.site, found.kind, found.sun_true_north, [found.asset(name) for name in assets]

    return whole


def sidecar(folder: Path) -> Read:
    """The item of the scene as it is used by `predict`: for the sun beside an image."""
    scene(folder)
    path = write_format("geotiff", folder, ramp()).rename(folder / "image.tif")

    def whole() -> Any:
        with open_windows(path) as source:
            return known_sun(source, read_sidecar(path))

    return whole


def catalogue(folder: Path) -> Read:
    shutil.copy(ROOT / "src/orrery/archives/catalogues/dlunardtmnet.yaml", folder / "mine.yaml")
    return lambda: read_catalogue(str(folder / "mine.yaml")).model_dump()


class Offline(Http):
    """No network: everything that is not on the disk already cannot be had."""

    def get(self, url: str, **options: Any) -> Any:
        raise OrreryError("cannot be reached", file=url, remedy="check the network")


def product(folder: Path) -> Read:
    own = folder / "ctx" / "P04"
    own.mkdir(parents=True)
    (own / "P04.IMG").write_bytes(bytes(range(256)) * 8)
    files = [{"url": "https://example.org/P04.IMG", "name": "P04.IMG", "size_kb": 2.0, "checksum": None}]
    write_json(own / FACTS, {"files": files, "start": "2007-02-25T13:04:15", "latitude_deg": 18.0})
    kind = Kind(host="mro", instrument="ctx", product_type="edr")
    shelf = Shelf(folder, Offline(), quiet=True)
    return lambda: vars(shelf.get("ctx", kind, "P04", "mars"))


def note(folder: Path) -> Read:
    part = Part(folder / ".P04.IMG.part")
    part.path.write_bytes(b"a half")
    write_json(
        folder / ".P04.IMG.part.json", {"url": "u", "validator": '"etag"', "md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    )
    return lambda: (part.validator("u"), part.md5())


def table(folder: Path) -> Read:
    (folder / "q.txt").write_text("# mine\n" + "".join(" ".join(map(str, row)) + "\n" for row in ANNEX_K))

    def whole() -> Any:
        steps = read_table(folder / "q.txt").array
        assert np.isfinite(steps).all()
        return steps

    return whole


def params(scale: str) -> Callable[[Path], Read]:
    def make(folder: Path) -> Read:
        for name in ("params.yaml", "params.full.yaml", "tuned"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
        path = folder / "params.yaml"
        path.write_text(path.read_text().replace("scale: demo", f"scale: {scale}"))

        def whole() -> Any:
            found = load_params(path)
            sections = [get_section(found, name, path).model_dump() for name in found.systems]
            return found.model_dump(), sections

        return whole

    return make


def pointer(folder: Path) -> Read:
    shutil.copy(ROOT / "data.dvc", folder)
    return lambda: tracked_md5(folder / "data.dvc")


READERS = [
    *(raster(kind) for kind in FORMATS),
    Reader("CTX EDR", context_camera, ["P04.IMG"], cut_is_seen=True),
    Reader("CRISM cube", cube, ["crism.tif"], cut_is_seen=True),
    Reader("CRISM with an ENVI header", header_cube, ["frt.hdr", "frt.img"], about=["frt"], cut_is_seen=True),
    Reader("table of wavelengths", wavelengths, ["bands.csv"]),
    Reader("Terrain Camera, packed", terrain_camera, ["tc1.lbl", "tc1.igz"], about=["tc1"]),
    Reader("Terrain Camera, unpacked", unpacked_terrain_camera, ["tc1.lbl", "tc1.img"], about=["tc1"]),
    Reader("scene", scene, ["item.json"], cut_is_seen=True),
    Reader("item beside an image", sidecar, ["item.json"], about=["image.tif"], cut_is_seen=True),
    Reader("catalogue", catalogue, ["mine.yaml"]),
    Reader("facts of a product", product, [f"ctx/P04/{FACTS}"], about=["http", "an archive calls a file", "P04"]),
    Reader("note of a download", note, [".P04.IMG.part.json"], optional=True),
    Reader("table of quantisation", table, ["q.txt"]),
    Reader("params.yaml", params("demo"), ["params.yaml"], about=["mars-bands.yaml", "lunar-dtm.yaml"]),
    Reader("overlay of params", params("full"), ["params.full.yaml"], about=["params.yaml"], heavy=True),
    Reader("tuned settings", params("demo"), ["tuned/mars-bands.yaml"], about=["params.yaml"], heavy=True),
    Reader("pointer of data", pointer, ["data.dvc"]),
]  # fmt: skip
