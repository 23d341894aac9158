from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from orrery.errors import OrreryError
from orrery.tracking.lineage import Lineage, product_tags, trace
from orrery.tracking.registry import load
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, git

pytestmark = pytest.mark.filterwarnings(
    "ignore::rasterio.errors.NotGeoreferencedWarning"
)  # tags are all that matters

MD5 = "0123456789abcdef0123456789abcdef.dir"


def write_product(root: Path, **changes: str) -> Path:
    """A product made from two files by version 2, with tags changed on demand."""
    out = root / "out"
    out.mkdir(exist_ok=True)
    (root / "image.tif").write_bytes(b"image")
    (root / "dem.tif").write_bytes(b"dem")
    product = out / "dtm.tif"
    sources = {"image": root / "image.tif", "dem": root / "dem.tif"}
    tags = product_tags(load(SYSTEM, "2", root=root), sources, "digest", product, checkout=root)
    tags |= {f"orrery_{name}": value for name, value in changes.items()}
    with rasterio.open(product, "w", driver="GTiff", height=2, width=2, count=1, dtype="float32") as dataset:
        dataset.write(np.zeros((1, 2, 2), np.float32))
        dataset.update_tags(**tags)
    return product


def states(lineage: Lineage) -> dict[str, str]:
    return {link.name: link.state for link in lineage.links}


ALL = [
    "product made by",
    "model",
    "run",
    "trained by commit",
    "data.dvc",
    "data holds",
    "source image",
    "source dem",
]


def test_every_link_of_an_undisturbed_product_holds(clone: Path) -> None:
    listing = clone / "remote/files/md5" / MD5[:2] / MD5[2:]
    listing.parent.mkdir(parents=True)
    listing.write_text(json.dumps([{"md5": "0", "relpath": f"train-{n}/image_l.tif"} for n in (1, 2)]))
    found = trace(write_product(clone), root=clone)
    assert states(found) == dict.fromkeys(ALL, "ok")
    assert not found.broken
    text = "\n".join(found.lines())
    assert "data.dvc           ok       0123456789abcdef0123456789abcdef.dir" in text
    assert "2 scenes, 2 files: train-1, train-2" in text
    assert str(clone.parent) not in "\n".join(found.lines()[1:])  # nobody's home directory in the tags


@pytest.mark.parametrize(
    ("tag", "value", "link", "detail"),
    [
        ("model_version", "7", "model", "no such version"),
        ("run_id", "0" * 32, "run", "no such run"),
        ("run_id", "0" * 32, "model", "the registry says that run"),
        ("trained_commit", "1" * 40, "trained by commit", "git does not know this commit"),
        ("commit", "1" * 40, "product made by", "git does not know this commit"),
        (
            "data_md5",
            "f" * 32 + ".dir",
            "data.dvc",
            "at that commit it says 0123456789abcdef0123456789abcdef.dir",
        ),
        ("data_md5", "f" * 32 + ".dir", "run", "the run says data.md5 0123"),
    ],
)
def test_a_broken_link_is_named(clone: Path, tag: str, value: str, link: str, detail: str) -> None:
    found = trace(write_product(clone, **{tag: value}), root=clone)
    assert found.broken
    (broken,) = [item for item in found.links if item.name == link]
    assert broken.state == "broken"
    assert detail in broken.detail


def test_sources_that_changed_or_went_away(clone: Path) -> None:
    product = write_product(clone)
    (clone / "image.tif").write_bytes(b"another image")
    (clone / "dem.tif").unlink()
    found = states(trace(product, root=clone))
    assert (found["source image"], found["source dem"]) == ("broken", "unknown")


def test_a_deleted_run_breaks_the_chain(clone: Path) -> None:
    product = write_product(clone)
    client = connect(clone)
    client.delete_run(load(SYSTEM, "2", root=clone).run_id)
    assert states(trace(product, root=clone))["run"] == "broken"


def test_what_cannot_be_told_is_unknown_not_broken(clone: Path) -> None:
    product = write_product(clone, trained_dirty="true")
    assert states(trace(product, root=clone))["trained by commit"] == "unknown"
    shutil.rmtree(clone / "mlruns")
    shutil.rmtree(clone / ".git")
    found = trace(product, root=clone)
    assert states(found) == dict.fromkeys(ALL, "unknown") | {"source image": "ok", "source dem": "ok"}
    assert not found.broken


def test_the_data_is_looked_up_at_the_commit_of_the_training(clone: Path) -> None:
    product = write_product(clone)
    (clone / "data.dvc").write_text("outs:\n- md5: ffffffffffffffffffffffffffffffff.dir\n  path: data\n")
    git(clone, "commit", "-qam", "other data")
    assert states(trace(product, root=clone))["data.dvc"] == "ok"


def test_products_without_lineage_and_files_that_are_none(clone: Path) -> None:
    bare = clone / "bare.tif"
    with rasterio.open(bare, "w", driver="GTiff", height=2, width=2, count=1, dtype="uint8") as dataset:
        dataset.write(np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(OrreryError, match=r"bare\.tif: carries no lineage"):
        trace(bare, root=clone)
    with pytest.raises(OrreryError, match=r"none\.tif: is not a readable raster"):
        trace(clone / "none.tif", root=clone)
