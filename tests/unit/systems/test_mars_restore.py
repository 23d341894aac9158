"""Restoration of faulty cubes: against what was taken away, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import write
from orrery.systems.mars_bands.align import AlignParams
from orrery.systems.mars_bands.filling import (
    NOTHING,
    OBSERVED,
    PREDICTED,
    REPLACED,
    FillParams,
    fill,
    footprint,
)
from orrery.systems.mars_bands.predict import PredictParams
from orrery.systems.mars_bands.restore import restore
from orrery.systems.mars_bands.restored import FILES
from tests.unit.systems.mars_strips import EVC_NM, MARS, PointStub, clouds, make_strip, point_bands

GAINS, OFFSETS = np.array([1.2, 0.9, 1.05]), np.array([0.01, -0.005, 0.02])
PARAMS = PredictParams(tile_px=128, stride_divisor=1)
STRIP_PX, CUBE_PX, RATIO, MARGIN_PX = 360, 100, 3, 30


@dataclass(frozen=True)
class Pair:
    """A strip, a cube on it, and the cube without faults; `grid` is where the cube truly lies."""

    image: Path
    cube: Path
    truth: np.ndarray
    grid: Grid


def block_means(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    return values.reshape(height // RATIO, RATIO, width // RATIO, RATIO).mean((1, 3))


def make_pair(folder: Path, *, written=None, spoil=None) -> Pair:
    """An hourglass of what the stub predicts, with a gain, an offset and noise of each band."""
    strip = make_strip(folder, STRIP_PX, STRIP_PX)
    inner = strip.pixels[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    noise = np.random.default_rng(1).normal(0, 2e-4, (3, CUBE_PX, CUBE_PX))
    planes = np.stack([block_means(band) for band in point_bands(inner)])
    truth = GAINS[:, None, None] * planes + OFFSETS[:, None, None] + noise
    rows, columns = np.mgrid[:CUBE_PX, :CUBE_PX]
    waist = 0.36 + 0.1 * ((rows - CUBE_PX / 2) / (CUBE_PX / 2)) ** 2
    truth = np.where(np.abs(columns - CUBE_PX / 2 + 0.5) < waist * CUBE_PX, truth, np.nan).astype(np.float32)
    part = strip.grid.window(MARGIN_PX, MARGIN_PX, CUBE_PX * RATIO, CUBE_PX * RATIO)
    grid = Grid(MARS, part.transform * Affine.scale(RATIO), CUBE_PX, CUBE_PX)
    observed = truth.copy()
    if spoil:
        spoil(observed)
    names = [f"{nm:.2f} nm" for nm in EVC_NM]
    write(folder / "crism.tif", dict(zip(names, observed, strict=True)), (written or AffineMap()).moved(grid))
    write_json(folder / "crism.json", {"properties": {"datetime": "2008-01-02T03:04:05Z"}})
    return Pair(strip.image, folder / "crism.tif", truth, grid)


def run(pair: Pair, out: Path, **options):
    options = {
        "model": PointStub(), "params": PARAMS, "filling": FillParams(), "alignment": AlignParams(), "align": False,
        "tags": {"run_id": "1"}, "progress": False, **options,
    }  # fmt: skip
    return restore(pair.cube, [pair.image], out, **options)


def planes(out: Path, name: str) -> np.ndarray:
    with rasterio.open(out / name) as dataset:
        return dataset.read()


@pytest.fixture(autouse=True)
def no_quicklook(monkeypatch, request):
    if "quicklook" not in request.node.name:
        monkeypatch.setattr("orrery.systems.mars_bands.restored.save", lambda figure, path: path.touch())


def faulty(cube: np.ndarray) -> None:
    """A gap in all bands, a dropped column, a lost band's half, spikes, garbage."""
    cube[:, 40:46, 40:50] = np.nan
    cube[:, :, 33] = np.nan
    cube[1, 50:] = np.nan
    cube[0, :, 60] = 0
    cube[2, 20, 55], cube[2, 80, 44], cube[0, 30, 40] = 0.9, 0.01, 20_345


def test_what_was_lost_is_predicted_and_marked(tmp_path):
    pair = make_pair(tmp_path, spoil=faulty)
    summary = run(pair, tmp_path / "out")
    values, origin = planes(tmp_path / "out", "bands.tif"), planes(tmp_path / "out", "origin.tif")
    inside = np.isfinite(pair.truth)
    np.testing.assert_array_equal(np.isfinite(values), inside)
    assert np.nanmax(np.abs(values - pair.truth)) < 2e-3  # of I/F 0.06 to 0.2, noise 2e-4
    lost = np.zeros_like(inside)
    lost[:, 40:46, 40:50] = lost[:, :, 33] = lost[1, 50:] = lost[0, :, 60] = True
    lost[0, 30, 40] = True  # garbage is no observation
    np.testing.assert_array_equal(origin == PREDICTED, lost & inside)
    assert {tuple(place) for place in np.argwhere(origin == REPLACED)} == {(2, 20, 55), (2, 80, 44)}
    np.testing.assert_array_equal(origin == NOTHING, ~inside)
    observed = origin == OBSERVED
    np.testing.assert_array_equal(values[observed], pair.truth[observed])  # bit for bit
    assert summary.shares["observed"] == pytest.approx(observed.sum() / inside.sum())


def test_a_match_is_told_for_every_band(tmp_path):
    pair = make_pair(tmp_path, spoil=faulty)
    run(pair, tmp_path / "out")
    item = json.loads((tmp_path / "out" / "item.json").read_text())
    bands = item["properties"]["orrery:bands"]
    np.testing.assert_allclose([band["gain"] for band in bands], GAINS, rtol=0.01)
    np.testing.assert_allclose([band["offset"] for band in bands], OFFSETS, atol=1e-3)
    np.testing.assert_allclose([band["sigma"] for band in bands], 2e-4, rtol=0.2)
    assert [band["replaced_px"] for band in bands] == [0, 0, 2]
    assert item["properties"]["datetime"] == "2008-01-02T03:04:05Z"
    assert {link["title"] for link in item["links"]} == {"crism.tif", "ctx.tif"}
    assert all((tmp_path / "out" / asset["href"]).exists() for asset in item["assets"].values())


def test_product_keeps_the_cubes_pixels_and_has_a_quicklook(tmp_path):
    pair = make_pair(tmp_path, spoil=faulty)
    run(pair, tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "bands.tif") as dataset:
        assert dataset.descriptions == ("442.63 nm", "533.74 nm", "592.35 nm")
        assert (dataset.transform, dataset.crs) == (pair.grid.transform, MARS)
        assert dataset.tags()["run_id"] == "1"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    with rasterio.open(tmp_path / "out" / "origin.tif") as dataset:
        assert dataset.tags()["origin_2"].startswith("predicted")
    assert (tmp_path / "out" / "quicklook.png").stat().st_size > 10_000
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        name for name in FILES if name != "fc.png"
    }


def test_a_band_that_the_file_lacks_is_scaled_as_its_neighbour(tmp_path):
    pair = make_pair(tmp_path)
    with rasterio.open(pair.cube) as dataset:
        cube = dataset.read()
    write(pair.cube, {"442.63 nm": cube[0], "592.35 nm": cube[2]}, pair.grid)
    run(pair, tmp_path / "out")
    values, origin = planes(tmp_path / "out", "bands.tif"), planes(tmp_path / "out", "origin.tif")
    assert set(np.unique(origin[1])) == {NOTHING, PREDICTED}
    level = np.nanmedian(values[1]) / np.nanmedian(values[2])
    assert level == pytest.approx(0.7 / 1.1, rel=0.01)


def test_a_cube_that_was_written_elsewhere_is_brought_onto_the_image(tmp_path):
    written = AffineMap.shift(90.0, -60.0)
    pair = make_pair(tmp_path, written=written, spoil=faulty)
    summary = run(pair, tmp_path / "out", align=True)
    assert summary.shift_m == pytest.approx(np.hypot(90, 60), abs=3)
    values = planes(tmp_path / "out", "bands.tif")
    with rasterio.open(tmp_path / "out" / "bands.tif") as dataset:
        assert dataset.transform == written.moved(pair.grid).transform
    origin = planes(tmp_path / "out", "origin.tif")
    assert np.nanmedian(np.abs(values - pair.truth)[origin == PREDICTED]) < 2e-3


def test_footprint_closes_gaps_and_keeps_the_waist():
    known = np.zeros((60, 60), bool)
    for row in range(60):
        half = 10 + abs(row - 30) // 2
        known[row, 30 - half : 30 + half] = True
    spoilt = known.copy()
    spoilt[:, 28:34] = False  # 6 px through all of it
    spoilt[10:20, 35:41] = False  # a hole
    found = footprint(spoilt, 8)
    assert found[known].all()
    assert (found & ~known).sum() < 40  # the notch of the waist


def test_a_stripe_wider_than_a_gap_stays_open():
    known = np.ones((40, 40), bool)
    known[:, 12:28] = False
    np.testing.assert_array_equal(footprint(known, 8), known)


def test_faults_do_not_bend_the_match():
    predicted = 0.2 + 0.02 * clouds(80, 80, 3, 9)[None].astype(np.float32)
    observed = 1.5 * predicted + np.float32(0.03)
    observed[0, ::9, ::7] = 1.9
    filled = fill(observed, predicted, [592.0], FillParams())
    assert filled.matches[0].gain == pytest.approx(1.5, rel=1e-4)
    assert (filled.origin == REPLACED).sum() == len(range(0, 80, 9)) * len(range(0, 80, 7))
    np.testing.assert_allclose(filled.values, 1.5 * predicted + 0.03, atol=1e-5)


# Bad input


def wavelengths(pair, folder):
    with rasterio.open(pair.cube) as dataset:
        write(pair.cube, {"1000.00 nm": dataset.read(1)}, pair.grid)


def elsewhere(pair, folder):
    far = replace(pair.grid, transform=Affine.translation(1e5, 0) * pair.grid.transform)
    write(pair.cube, {"592.35 nm": pair.truth[2]}, far)


def beside(pair, folder):
    """The grids meet, the footprint and the image do not."""
    empty = np.full_like(pair.truth[2], np.nan)
    empty[:, :3] = 0.1
    near = replace(pair.grid, transform=Affine.translation(-CUBE_PX * 18 * 0.9, 0) * pair.grid.transform)
    write(pair.cube, {"592.35 nm": empty}, near)


def other_ground(pair, folder):
    write(
        pair.cube, {"592.35 nm": (0.2 + 0.02 * clouds(CUBE_PX, CUBE_PX, 2, 77)).astype(np.float32)}, pair.grid
    )


def all_nodata(pair, folder):
    write(pair.cube, {"592.35 nm": np.full_like(pair.truth[2], np.nan)}, pair.grid)


def moon(pair, folder):
    grid = replace(pair.grid, crs=CRS.from_string("IAU_2015:30110"))
    write(pair.cube, {"592.35 nm": pair.truth[2]}, grid)


def truncated(pair, folder):
    pair.cube.write_bytes(pair.cube.read_bytes()[: pair.cube.stat().st_size // 2])


def missing(pair, folder):
    pair.cube.unlink()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (wavelengths, "no band within 8 nm of 442.63, 533.74, 592.35 nm"),
        (elsewhere, "covers none of ctx.tif; give an image"),
        (beside, "covers none of ctx.tif; give an image"),
        (other_ground, "does not resemble"),
        (all_nodata, "no valid pixel"),
        (moon, "(?i)moon.*not on mars"),
        (truncated, "fetch or export it again"),
        (missing, "does not exist"),
    ],
)
def test_bad_input_is_one_line_that_names_file_and_remedy(spoil, text, tmp_path):
    pair = make_pair(tmp_path)
    spoil(pair, tmp_path)
    with pytest.raises(OrreryError, match=text) as caught:
        run(pair, tmp_path / "out")
    assert Path(caught.value.file).name == "crism.tif"
    assert "\n" not in str(caught.value)
    assert not [name for name in FILES if (tmp_path / "out" / name).exists()]


def test_ground_that_cannot_be_matched_is_refused_by_name(tmp_path):
    pair = make_pair(tmp_path)
    pixels = np.full((CUBE_PX, CUBE_PX), 0.2, np.float32) + np.random.default_rng(0).normal(
        0, 1e-4, (CUBE_PX, CUBE_PX)
    ).astype(np.float32)
    write(pair.cube, {"592.35 nm": pixels}, pair.grid)
    with pytest.raises(OrreryError, match="crism"):
        run(pair, tmp_path / "out", align=True)
