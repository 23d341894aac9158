"""A whole pair to its product: bounded blocks, heights of the right sign, and everything that is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from orrery.errors import OrreryError
from orrery.raster.io import read
from orrery.raster.terrain_camera_product import read_product, write_product
from orrery.stages.predict import checked, sources
from orrery.systems.kaguya_disparity.model import DisparityModel
from orrery.systems.kaguya_disparity.params import VariantParams
from orrery.systems.kaguya_disparity.predict import predict
from orrery.systems.kaguya_disparity.scaling import Scaling
from orrery.systems.kaguya_disparity.system import SYSTEM
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems.kaguya_scenes import scene_params, section, small_variant, world

VARIANT = VariantParams.model_validate(small_variant())
PRODUCT = {"disparity.tif", "dem.tif", "valid.tif", "hillshades.png", "quicklook.png", "item.json"}


def _network(planes):
    """Minus a third of the fine detail of the disparity, and a 1-sigma of half a deviation."""
    return torch.cat([-planes[:, 3:4] / 3, torch.full_like(planes[:, :1], -0.7)], 1)


MODEL = DisparityModel("stub", _network, VARIANT, Scaling(0.08, -0.7, 0.6))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    out = tmp_path_factory.mktemp("kaguya")
    stereo_scenes.make(out, world(test_a=scene_params("highland")), 7)
    return out / "test-a"


@pytest.fixture
def pair(scene, tmp_path):
    return shutil.copytree(scene, tmp_path / "pair")


def run(pair, out, **options):
    options = {"table": "SF008S.A", "mean_count": 200.0, "section": section(), **options}
    return predict(
        pair / "tc1.lbl", pair / "tc2.lbl", out, model=MODEL, tags={"run_id": "1"}, progress=False, **options
    )


def test_the_product_tells_disparity_heights_and_their_errors(pair, tmp_path):
    summary = run(pair, tmp_path / "out")
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == PRODUCT
    assert "valid" in str(summary)
    before, after, sigma = (read(out / "disparity.tif", band=band).values for band in (1, 2, 3))
    heights, sigma_m = (read(out / "dem.tif", band=band).values for band in (1, 2))
    known = np.isfinite(after)
    assert known.mean() > 0.8
    assert 0.003 < (after - before)[known].std() < 0.1
    assert np.allclose(sigma_m[known], 18.66 * sigma[known], rtol=1e-3)
    truth = read(pair / "disparity.tif", body=None).values
    # higher ground has a smaller disparity
    assert np.corrcoef(-truth[known], heights[known])[0, 1] > 0.95
    assert np.median(np.abs(before - truth)[known]) < 0.2
    item = json.loads((out / "item.json").read_text())
    assert item["properties"]["orrery:quantisation_table"] == "SF008S.A"
    assert item["properties"]["orrery:mean_count"] == pytest.approx(200, rel=0.01)
    assert item["properties"]["orrery:compression_emulated"] is True
    titles = {link["title"] for link in item["links"]}
    assert titles == {"tc1.lbl", "tc1.igz", "tc2.lbl", "tc2.igz"}


def test_blocks_and_tiles_leave_no_seam(pair, tmp_path):
    run(pair, tmp_path / "whole")
    small = section(predict={"block_rows": 64, "tile_px": 128})
    run(pair, tmp_path / "parts", section=small)
    for band in (1, 2, 3):
        whole, parts = (
            read(tmp_path / name / "disparity.tif", band=band).values for name in ("whole", "parts")
        )
        both = np.isfinite(whole) & np.isfinite(parts)
        assert both.mean() > 0.97 * np.isfinite(whole).mean()
        assert np.quantile(np.abs(whole - parts)[both], 0.99) < 0.01


def test_a_pair_compressed_on_board_is_taken_as_it_is(pair, tmp_path):
    for name in ("tc1", "tc2"):
        label = pair / f"{name}.lbl"
        text = label.read_text().replace("Q_TABLE_ID = N/A", "Q_TABLE_ID = SF008S.A")
        label.write_text(text.replace("COMPRESSION_TYPE = N/A", "COMPRESSION_TYPE = DCT_DECOMPRESSED"))
    run(pair, tmp_path / "out", table=None, mean_count=None)
    item = json.loads((tmp_path / "out" / "item.json").read_text())
    assert item["properties"]["orrery:compression_emulated"] is False
    assert item["properties"]["orrery:mean_count"] == pytest.approx(240, rel=0.03)
    with pytest.raises(OrreryError, match="compressed already"):
        run(pair, tmp_path / "again", table=None)
    with pytest.raises(OrreryError, match=r"compressed with SF008S\.A"):
        run(pair, tmp_path / "again", table="annex-k-q90", mean_count=None)


def test_what_nobody_tells_is_asked_for(pair, tmp_path):
    with pytest.raises(OrreryError, match="not compressed"):
        run(pair, tmp_path / "out", table=None)
    with pytest.raises(OrreryError, match="whose steps are not known"):
        run(pair, tmp_path / "out", table="SP_SPT_A")
    assert not (tmp_path / "out").exists()


def test_rasters_are_counts_only_with_a_stated_scale(pair, tmp_path):
    for name in ("tc1", "tc2"):
        product = read_product(pair / f"{name}.lbl")
        from orrery.raster.io import write

        write(tmp_path / f"{name}.tif", {"dn": product.counts / 4}, product.grid, dtype="uint8")
    files = (tmp_path / "tc1.tif", tmp_path / "tc2.tif")
    options = {"model": MODEL, "section": section(), "tags": {}, "progress": False, "table": "SF008S.A"}
    with pytest.raises(OrreryError, match="--count-scale"):
        predict(*files, tmp_path / "out", **options)
    summary = predict(*files, tmp_path / "out", count_scale=4.0, **options)
    assert summary.valid_fraction > 0.7


def test_a_product_without_a_place_is_refused(pair, tmp_path):
    counts = read_product(pair / "tc1.lbl").counts
    keys = {"PRODUCT_ID": "X", "INSTRUMENT_ID": "TC1", "EXPOSURE_MODE_ID": "MIDDLE", "Q_TABLE_ID": "N/A"}
    write_product(pair / "tc1.lbl", counts, keys, {"COMPRESSION_TYPE": "N/A"})
    with pytest.raises(OrreryError, match="where it lies"):
        run(pair, tmp_path / "out")


def test_unwritable_output_is_one_error(pair, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OrreryError, match="cannot be written"):
        run(pair, tmp_path / "file" / "out")


def test_the_command_asks_for_both_images(tmp_path):
    with pytest.raises(OrreryError, match="needs --right"):
        checked(SYSTEM, {"left": tmp_path / "a.lbl", "images": ()}, "predict")
    with pytest.raises(OrreryError, match="takes no --image"):
        checked(
            SYSTEM, {"left": tmp_path / "a", "right": tmp_path / "b", "images": (tmp_path / "c",)}, "predict"
        )
    with pytest.raises(OrreryError, match="does not restore"):
        checked(SYSTEM, {}, "restore")


def test_lineage_holds_the_samples_too(pair):
    found = sources({"left": pair / "tc1.lbl", "right": pair / "tc2.lbl"})
    assert {path.name for path in found.values()} == {"tc1.lbl", "tc1.igz", "tc2.lbl", "tc2.igz"}
