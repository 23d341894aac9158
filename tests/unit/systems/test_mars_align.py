"""mars-bands' align stage on a small scene in data/mars's layout: found, written, read again; spoiled pairs told apart."""

import shutil

import numpy as np
import pandas as pd
import pytest
from rasterio.crs import CRS
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.files import read_json, write_json
from orrery.raster.grid import Grid
from orrery.raster.io import Raster, read, write
from orrery.raster.scene import list_scenes, read_scene
from orrery.seeds import stream
from orrery.systems.mars_bands.align import AlignParams, align_scenes
from orrery.systems.mars_bands.aligned import load_aligned
from orrery.systems.mars_bands.likeness import correlation, hull_share, similarity
from orrery.systems.mars_bands.placed import elevation_of
from tests.unit.systems.mars_scenes import WAVELENGTHS_NM, make_scene


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    """Two sets on one ground, a third elsewhere with products; their table and folder."""
    root = tmp_path_factory.mktemp("mars")
    for name, left_m in (("train-gale-0", 300_000.0), ("test-gale", 301_320.0)):
        make_scene(root / "data", name, left_m)
    make_scene(
        root / "data", "val-melas", 700_000.0, {"ctx": "P01_001501_1538_XI_26S034W", "crism": "FRT0000474A"}
    )
    table = pd.DataFrame(align_scenes(list_scenes(root / "data"), root / "out", AlignParams(), 7))
    return table.set_index("scene", drop=False), root


def test_the_table_tells_of_a_good_alignment(aligned):
    table, _ = aligned
    assert list(table.scene) == ["test-gale", "train-gale-0", "val-melas"]
    assert (table.true_error_px < 0.25).all()
    assert (table.initial_error_px > 35).all()
    assert table.shift_m.between(200, 300).all()
    assert (table.residual_px < 1).all()
    assert (table.residual_px > 0.8 * table.true_error_rms_px).all()
    assert (table.valid_share > 0.9).all()
    assert (table.ncc_after > 0.9).all()
    assert (table.ncc_before < 0.5).all()
    assert (table.ssim_gain > 0.3).all()
    assert (table.time_difference_days == 12).all()
    assert table.pair["val-melas"] == "FRT0000474A on P01_001501_1538_XI_26S034W"


def test_ground_that_two_sets_share_is_told(aligned):
    table, _ = aligned
    assert 0.1 < table.overlap_fraction["train-gale-0"] < 0.7
    assert table.overlap_fraction["val-melas"] == 0


def test_bands_lie_on_cells_of_the_image_and_agree_with_the_truth(aligned):
    _, root = aligned
    pair = load_aligned(root / "out" / "val-melas")
    assert pair.step == 3
    assert [3 * side for side in pair.bands.grid.shape] == [*pair.ctx.grid.shape]
    assert pair.bands.grid.gsd_m == pytest.approx(18)
    np.testing.assert_allclose(pair.bands.wavelengths_nm, WAVELENGTHS_NM)
    scene = read(root / "data" / "val-melas" / "ctx.tif", body="mars")
    blurred = Raster(ndimage.gaussian_filter(scene.values, 1.3), scene.grid)
    rows, columns = (
        np.rint(p).astype(int) for p in scene.grid.rowcol(*pair.bands.grid.xy(*np.nonzero(pair.valid)))
    )
    off = pair.bands.values[2][pair.valid] - (0.14 + (blurred.values[rows, columns] - 0.2))
    assert np.std(off) < 0.0025  # of a contrast of .03
    assert not np.isfinite(pair.bands.values[:, ~pair.valid]).all()


def test_other_alignments_are_kept_for_studies(aligned):
    _, root = aligned
    folder = root / "out" / "test-gale"
    local = load_aligned(folder).bands.values[2]
    others = {
        name: load_aligned(folder, [592.35], name).bands.values[0] for name in ("none", "global", "true")
    }
    both = np.isfinite(local) & np.all([np.isfinite(each) for each in others.values()], axis=0)
    alike = {name: correlation(local, each, both) for name, each in others.items()}
    assert alike["true"] > 0.999 > alike["global"] > alike["none"]
    corrections = read_scene(folder).item.properties["orrery:alignment"]
    assert set(corrections) == {"none", "global", "local", "true"}
    with pytest.raises(OrreryError, match="nm"):
        load_aligned(folder, [700.0])


def test_equal_scenes_give_equal_bytes(aligned, tmp_path):
    _, root = aligned
    shutil.copytree(root / "data" / "val-melas", tmp_path / "data" / "val-melas")
    align_scenes(list_scenes(tmp_path / "data"), tmp_path / "out", AlignParams(), 7)
    for path in sorted((tmp_path / "out" / "val-melas").iterdir()):
        assert path.read_bytes() == (root / "out" / "val-melas" / path.name).read_bytes(), path.name


def test_the_suns_height_is_kept_where_its_azimuth_is_unknown(tmp_path):
    make_scene(tmp_path / "data", "train-gale-0")
    path = tmp_path / "data" / "train-gale-0" / "item.json"
    item = read_json(path)
    item["properties"]["view:sun_elevation"] = 41.5
    write_json(path, item)
    align_scenes(list_scenes(tmp_path / "data"), tmp_path / "out", AlignParams(), 7)
    assert elevation_of(read_scene(tmp_path / "out" / "train-gale-0")) == 41.5


# Bad input


def test_a_cube_of_another_place_is_refused_by_name(tmp_path):
    make_scene(tmp_path / "data", "train-gale-0")
    make_scene(tmp_path / "else", "train-gale-1", left_m=900_000.0)
    shutil.copy(tmp_path / "else" / "train-gale-1" / "crism.tif", tmp_path / "data" / "train-gale-0")
    with pytest.raises(OrreryError, match=r"ctx\.tif: covers none of the area"):
        align_scenes(list_scenes(tmp_path / "data"), tmp_path / "out", AlignParams(), 7)
    assert not (tmp_path / "out" / "train-gale-0").exists()


def test_a_cube_without_the_matched_band_and_a_missing_asset_are_refused(tmp_path):
    make_scene(tmp_path / "data", "train-gale-0")
    scenes = list_scenes(tmp_path / "data")
    with pytest.raises(OrreryError, match=r"crism\.tif"):
        align_scenes(scenes, tmp_path / "out", AlignParams(match_nm=800.0), 7)
    del scenes[0].item.assets["crism"]
    with pytest.raises(OrreryError, match="names no crism"):
        align_scenes(scenes, tmp_path / "out", AlignParams(), 7)


def test_a_strip_of_another_body_is_refused(tmp_path):
    make_scene(tmp_path / "data", "train-gale-0")
    path = tmp_path / "data" / "train-gale-0" / "ctx.tif"
    image = read(path, body="mars")
    moon = Grid(CRS.from_string("IAU_2015:30110"), image.grid.transform, *image.grid.shape)
    write(path, {"i_over_f": image.values}, moon)
    with pytest.raises(OrreryError, match=r"ctx\.tif: lies on Moon"):
        align_scenes(list_scenes(tmp_path / "data"), tmp_path / "out", AlignParams(), 7)


# Likeness


def test_likeness_counts_chosen_pixels_only():
    one = stream(1, "one").standard_normal((60, 60)).astype(np.float32)
    other, where = 3 * one + 2, np.ones((60, 60), bool)
    other[:20], where[:20] = 0, False
    assert correlation(one, other, where) == pytest.approx(1)
    assert similarity(one, other, where) == pytest.approx(1)
    assert np.isnan(similarity(one, np.ones_like(one), where))
    assert (
        hull_share(np.array([[0, 0], [0, 1], [1, 0.0]]), np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])) == 0.5
    )
    assert hull_share(np.array([[0, 0], [1, 1], [2, 2.0]]), np.eye(3)[:, :2]) == 0
