"""From a catalogue to scenes, with an archive on this machine and stand-ins for ISIS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from orrery.archives.isis import CHAINS
from orrery.cli import main
from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.raster.cube import read_cube
from orrery.raster.grid import RADIUS_M, Grid
from orrery.raster.io import read, resample, write
from orrery.raster.scene import read_scene
from orrery.stages import archive as stage
from orrery.stages import search as search_stage
from tests.unit.archives import fake_isis
from tests.unit.archives.conftest import ode_entry, serve_ode
from tests.unit.raster.raster_files import write_ctx_edr, write_gdal

MARS = CRS.from_string("IAU_2015:49910")
# As MTRDR's headers write theirs: another radius, another standard parallel.
MTRDR = CRS.from_proj4("+proj=eqc +lat_ts=15 +lat_0=0 +lon_0=0 +R=3394839.81 +units=m +no_defs")
PER_DEGREE = RADIUS_M["mars"] * np.pi / 180
X, Y = 77.5 * PER_DEGREE, 18.4 * PER_DEGREE
BANDS_NM = (436.13, 442.63, 533.74, 592.35, 1079.96, 1500.03, 2503.12)
CRISM, CTX = "FRT000047A3_07_IF166J_MTR3", "P04_002743_1987_XI_18N282W"
JEZERO = (18.0, 18.8, 77.2, 78.4)

CATALOGUE = f"""
name: small
body: mars
source: a test
kinds:
  crism: {{host: MRO, instrument: CRISM, product_type: MTRDR}}
  ctx: {{host: MRO, instrument: CTX, product_type: EDR}}
sites: {{jezero: {{title: Jezero}}, melas: {{title: Melas}}}}
scenes:
  - {{scene: jezero-frt000047a3, site: jezero, set: train, products: {{crism: {CRISM}, ctx: {CTX}}}}}
  - {{scene: melas-frt00000001, site: melas, set: test, products: {{crism: FRT00000001, ctx: P00}}}}
"""


def cube_grid():
    return Grid(MTRDR, Affine(18, 0, 77.49 * PER_DEGREE * 0.9659 * 0.9996, 0, -18, Y * 0.9996 + 450), 50, 40)


def image_grid(x=X, y=Y):
    return Grid(MARS, Affine(6, 0, x - 6000, 0, -6, y + 6000), 2000, 2000)


def image_file(path, grid):
    return write(path, {"i_over_f": np.full(grid.shape, 0.1, np.float32)}, grid)


@pytest.fixture
def mars(archive, tmp_path):
    """An archive with one MTRDR as an ENVI image with header, and one CTX frame in camera geometry."""
    source = tmp_path / "source"
    source.mkdir()
    height, width = cube_grid().shape
    values = np.array(BANDS_NM, np.float32)[:, None, None] / 1e4 * np.ones((1, height, width), np.float32)
    values[:, :, :3] = 65535
    values[1, 10, 10] = 20345.0
    profile = {"driver": "ENVI", "interleave": "bil"}
    write_bands(source / f"{CRISM}.img", values, cube_grid(), **profile)
    names = ", ".join(f"{nm:.2f}" for nm in BANDS_NM)
    header = source / f"{CRISM}.hdr"
    header.write_text(f"{header.read_text()}wavelength units = Nanometers\nwavelength = {{ {names} }}\n")
    write_ctx_edr(source / f"{CTX}.IMG", np.full((24, 512), 7, np.uint8))
    for path in source.iterdir():
        archive.files[f"/{path.name}"] = path.read_bytes()

    def listed(*suffixes, identifier):
        return [
            (f"{identifier}{suffix}", f"{archive.url}/{identifier}{suffix}",
             len(archive.files[f"/{identifier}{suffix}"]) / 1024)
            for suffix in suffixes
        ]  # fmt: skip

    entries = [
        ode_entry(CRISM, "CRISM", "MTRDR", (18.3, 18.5, 77.4, 77.6), "2007-03-11T00:00:00",
                  listed(".img", ".hdr", identifier=CRISM)),
        ode_entry(CTX, "CTX", "EDR", (17.5, 19.5, 77.2, 77.8), "2007-03-01T00:00:00",
                  listed(".IMG", identifier=CTX)),
    ]  # fmt: skip
    return serve_ode(archive, entries)


def write_bands(path, values, grid, **profile):
    import rasterio

    with rasterio.open(
        path, "w", crs=grid.crs, transform=grid.transform, count=len(values), dtype=values.dtype,
        height=grid.height, width=grid.width, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(values)


@pytest.fixture
def ingest(project, http, mars):
    """Run the stage on the small catalogue, in an empty project."""
    Path("small.yaml").write_text(CATALOGUE)

    def run(*only, **kwargs):
        settings = {"only": only, "versioned": False, "http": http, "ode_url": mars, **kwargs}
        stage.run("small.yaml", Path("data"), Path("products"), **settings)

    return run


def test_a_raw_image_is_calibrated_and_makes_a_scene(ingest, archive, tmp_path, monkeypatch, capsys):
    projected = tmp_path / "projected.tif"
    image_file(projected, image_grid())
    action = f'cp {projected} "$argument_to"'
    calls = fake_isis.install(tmp_path / "bin", monkeypatch, CHAINS["CTX"].programs, cam2map=action)
    ingest("jezero-*")
    assert len(calls()) == 5
    assert capsys.readouterr().out == "jezero-frt000047a3: made\n"
    scene = read_scene(Path("data/mars/jezero-frt000047a3"))
    assert scene.site == "jezero"
    properties = scene.item.properties
    assert properties["orrery:time_difference_days"] == 10
    assert properties["orrery:products"] == {"crism": CRISM, "ctx": CTX}
    assert (properties["orrery:set"], properties["orrery:twin"], properties["ssys:targets"]) == (
        "train", False, ["Mars"],
    )  # fmt: skip
    assert scene.item.datetime.isoformat() == "2007-03-01T00:00:00+00:00"
    cube = read_cube(scene.asset("crism"))
    assert cube.wavelengths_nm.tolist() == list(BANDS_NM[1:])
    np.testing.assert_allclose(cube.values[:, 20, 20], np.array(BANDS_NM[1:]) / 1e4, rtol=1e-5)
    assert not cube.valid[:, :3].any()
    assert np.isnan(cube.values[0, 10, 10])  # an artefact of 20345 in I/F
    image = read(scene.asset("ctx"), body="mars")
    assert image.grid.crs == MARS
    assert 1000 < image.grid.height < 1400  # 900 m of cube and 3 km around it, of 12 km
    asked = len(archive.asked)
    ingest("jezero-*", all_bands=True)
    assert len(archive.asked) == asked  # nothing is fetched twice
    assert len(calls()) == 5
    assert read_cube(scene.asset("crism")).wavelengths_nm.tolist() == list(BANDS_NM)


def test_a_map_is_taken_as_it_is(ingest, archive):
    Path("products/ctx").mkdir(parents=True)
    image_file(Path("products/ctx") / f"{CTX}.tif", image_grid())
    ingest("jezero-*")
    assert not [asked for asked in archive.asked if CTX in asked[0]]
    assert read(Path("data/mars/jezero-frt000047a3/ctx.tif"), body="mars").valid.all()


def test_one_scene_that_fails_does_not_stop_the_others(ingest, capsys):
    Path("products/ctx").mkdir(parents=True)
    image_file(Path("products/ctx") / f"{CTX}.tif", image_grid())
    with pytest.raises(OrreryError, match=r"1 of 2 scenes could not be made; .* --scene melas-frt00000001"):
        ingest()
    said = capsys.readouterr().out
    assert "jezero-frt000047a3: made" in said
    assert "melas-frt00000001: " in said
    assert "names 0 products of MRO CRISM" in said
    assert [path.name for path in Path("data/mars").iterdir()] == ["jezero-frt000047a3"]


def failing(ingest, capsys):
    with pytest.raises(OrreryError):
        ingest("jezero-*")
    assert not list(Path("data").rglob("*.tif"))
    return capsys.readouterr().out


def test_without_isis_a_raw_image_is_told(ingest, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "lacks mroctx2isis, spiceinit, ctxcal, ctxevenodd, cam2map on PATH" in failing(ingest, capsys)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (image_grid(x=X + 2e5), "covers none of the area"),
        (image_grid(x=X + 8700), "has no valid pixel where the CRISM cube has some"),
        (Grid(CRS.from_string("IAU_2015:30110"), image_grid().transform, 200, 200), "not on Mars"),
    ],
    ids=["far away", "beside it", "on the Moon"],
)
def test_an_image_of_elsewhere_is_refused(ingest, capsys, grid, message):
    Path("products/ctx").mkdir(parents=True)
    image_file(Path("products/ctx") / f"{CTX}.tif", grid)
    assert message in failing(ingest, capsys)


def test_an_unknown_pattern_is_refused(ingest):
    with pytest.raises(OrreryError, match=r"small has no scene jezro-\*; give a pattern"):
        ingest("jezro-*")


def test_a_pair_of_lunar_images_with_its_heights(project, archive, http):
    """Addresses instead of searches; SLDEM2015 in kilometres above the sphere's centre, its longitudes from 0 on."""
    moon = CRS.from_string("IAU_2015:30110")
    place = Grid(moon, Affine(5, 0, -600e3, 0, -5, 1338e3), 120, 160)
    coarse = Grid(moon, Affine(60, 0, 2 * np.pi * 1737400 - 602e3, 0, -60, 1340e3), 100, 120)
    kinds = {"image_l": "L.tif", "image_r": "R.tif", "sldem": "D.tif", "nac_dtm": "N.tif"}
    Path("source").mkdir()
    for name in ("L.tif", "R.tif"):
        write_gdal(Path("source") / name, np.full(place.shape, 0.05, np.float32), place)
    write_gdal(Path("source/N.tif"), np.full(place.shape, -2600, np.float32), place)
    write_kilometres(Path("source/D.tif"), np.full(coarse.shape, -2.6, np.float32), coarse)
    for path in Path("source").iterdir():
        archive.files[f"/a-{path.name}"] = path.read_bytes()
    Path("m.yaml").write_text(
        "name: m\nbody: moon\nsource: a test\nsites: {s: {title: S}}\nkinds:\n"
        + "".join(f"  {kind}: {{files: ['{archive.url}/{{id}}-{file}']}}\n" for kind, file in kinds.items())
        + "scenes:\n  - {scene: s-a, site: s, products: {image_l: a, image_r: a, sldem: a, nac_dtm: a},"
        " sun: {azimuth_deg: 106.4, elevation_deg: 15.5}}\n"
    )
    for asset in ("image_l", "image_r"):
        facts = Path("products") / asset / "a" / "product.json"
        write_json(facts, {"files": [{"url": f"{archive.url}/a-{kinds[asset]}", "name": kinds[asset]}],
                           "start": "2014-05-16T00:00:00+00:00"})  # fmt: skip
    stage.run("m.yaml", Path("data"), Path("products"), versioned=False, http=http)
    scene = read_scene(Path("data/moon/s-a"))
    assert set(scene.item.assets) == set(kinds)
    assert scene.sun_true_north == (106.4, 15.5)
    coarse_part = read(scene.asset("sldem"))
    np.testing.assert_allclose(coarse_part.values, -2600, atol=0.1)
    assert resample(coarse_part, place, method="bilinear").valid.all()
    np.testing.assert_array_equal(read(scene.asset("nac_dtm")).values, -2600)


def write_kilometres(path, values, grid):
    import rasterio

    write_gdal(path, values, grid)
    with rasterio.open(path, "r+") as dataset:
        dataset.units, dataset.offsets = ("KILOMETER",), (1737.4,)


def test_search_prints_pairs_and_writes_what_ingest_reads(mars, http, project, capsys):
    search_stage.run(["jezero"], JEZERO, None, Path("found.yaml"), http=http, url=mars)
    out = capsys.readouterr().out
    assert f"jezero-frt000047a3: {CRISM} {CTX}, 10.0 days\n" in out
    assert "jezero: 1 pairs\n" in out
    search_stage.run([], None, "found.yaml", None, http=http, url=mars)
    assert "10.0 days; as in jezero" in capsys.readouterr().out
    search_stage.run(["jezero"], None, "ctx-crism", None, http=http, url=mars)
    assert "; as in ctx-crism" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sites", "box", "catalogue", "message"),
    [
        ([], None, None, "search needs an area"),
        (["a"], JEZERO, "ctx-crism", "search needs an area"),
        ([], JEZERO, None, "a box needs a name"),
        (["a"], (18.8, 18.0, 77, 78), None, r"latitudes 18\.8 to 18 are no area"),
        (["olympus"], None, "ctx-crism", "ctx-crism: has no box of olympus; it has "),
        ([], None, "dlunardtmnet", "dlunardtmnet: has no box of any site"),
    ],
)
def test_areas_are_given_in_one_way(sites, box, catalogue, message):
    with pytest.raises(OrreryError, match=message):
        search_stage.run(sites, box, catalogue, None)


def test_the_command_line_leads_there(project, monkeypatch, capsys):
    """What is typed arrives at the stages, and a mistake is one line and status 2."""
    for words, message in [
        (["ingest", "--source", "archive"], "an archive needs a catalogue; give --catalogue"),
        (["ingest", "--source", "archive", "--catalogue", "none"], "none: is no catalogue; give a file"),
        (["ingest", "--source", "archive", "--catalogue", "ctx-crism", "--scene", "x"], "has no scene x"),
        (["search"], "search needs an area"),
        (["search", "--box", "18", "19", "77", "78"], "a box needs a name"),
    ]:
        monkeypatch.setattr("sys.argv", ["orrery", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
