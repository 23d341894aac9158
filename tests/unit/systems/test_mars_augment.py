"""The paper's augmentations: what is turned, cropped and erased, alike in all planes, and the same in every run."""

import numpy as np
import pytest
import torch

from orrery.systems.mars_bands.augment import MOST_TURNED_DEG, augmented, rotated
from orrery.systems.mars_bands.data import PatchData, PatchDataset
from orrery.systems.mars_bands.patches import make_patches
from tests.unit.systems.mars_patches import WAVELENGTHS_NM, section_of, variant_of, write_aligned

SIDE, KINDS = 100, ["rotate", "crop", "erase"]


def patch():
    """An image of its row, bands of its column, everywhere known."""
    row, column = np.indices((SIDE, SIDE), np.float32)
    return {"image": row, "bands": np.stack([column, 2 * column])}


def kind_of(planes):
    known = np.isfinite(planes["image"])
    if known.all():
        return "none"
    if not np.array_equal(planes["image"][known], patch()["image"][known]):
        return "rotate"
    return "crop" if not known.any(1).all() else "erase"


def draws(kinds, number=400):
    return [augmented(patch(), kinds, np.random.default_rng(seed)) for seed in range(number)]


def test_every_kind_is_as_likely_as_none_and_only_those_asked_for_happen():
    found = [kind_of(planes) for planes in draws(KINDS)]
    counts = [found.count(kind) for kind in ("none", *KINDS)]
    assert sum(counts) == 400
    assert all(70 < count < 130 for count in counts)  # 100 +- 8.7
    assert {kind_of(planes) for planes in draws(["erase"], 50)} == {"none", "erase"}
    assert {kind_of(planes) for planes in draws([], 5)} == {"none"}


def test_sections_have_the_papers_sizes_and_height_and_width_are_independent():
    sizes = {"crop": [], "erase": []}
    for planes in draws(KINDS):
        kind, known = kind_of(planes), np.isfinite(planes["image"])
        if kind in sizes:
            inside = known if kind == "crop" else ~known
            sizes[kind].append((int(inside.any(1).sum()), int(inside.any(0).sum())))
            assert inside.sum() == np.prod(sizes[kind][-1])  # a rectangle
        for band in planes["bands"]:
            np.testing.assert_array_equal(np.isfinite(band), known)
    for kind, (low, high) in {"crop": (60, 80), "erase": (20, 40)}.items():
        found = np.array(sizes[kind])
        assert low <= found.min() <= low + 3
        assert high - 3 <= found.max() <= high
        assert abs(np.corrcoef(found.T)[0, 1]) < 0.35


def test_a_rotation_turns_image_and_bands_about_the_middle_and_flips_nothing():
    """Rows and columns are linear, so that their turned values are known; and the angles fill the interval."""
    row, column = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    angles = []
    for planes in draws(["rotate"]):
        known = np.isfinite(planes["image"])
        if known.all():
            continue
        down = planes["image"][known] - (SIDE - 1) / 2
        across = planes["bands"][0][known] - (SIDE - 1) / 2
        turn = np.linalg.lstsq(
            np.stack([row[known], column[known]], 1), np.stack([down, across], 1), rcond=None
        )[0]
        np.testing.assert_allclose(turn.T @ turn, np.eye(2), atol=1e-4)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-4)  # -1 were a flip
        angles.append(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
        np.testing.assert_allclose(planes["bands"][1][known], 2 * planes["bands"][0][known], rtol=1e-5)
    assert np.max(np.abs(angles)) <= MOST_TURNED_DEG + 0.1
    assert np.percentile(angles, [5, 95]) == pytest.approx([-18, 18], abs=3)


def test_what_is_unknown_stays_so_when_it_is_turned():
    plane = np.ones((SIDE, SIDE), np.float32)
    plane[:, :30] = np.nan
    turned = rotated(plane, 15.0)
    assert 0.2 < np.isnan(turned).mean() < 0.45
    assert set(np.unique(turned[np.isfinite(turned)])) == {1.0}
    np.testing.assert_array_equal(rotated(plane, 0.0), plane)


# In training


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    root = tmp_path_factory.mktemp("mars")
    for name in ("train-a", "val-c"):
        write_aligned(root / "aligned", name)
    make_patches(root / "aligned", root / "patches", section_of())
    return root / "patches"


def loaded(patches, first_step=0, seed=3, workers=0, **changes):
    data = PatchData(patches, variant_of(augmentation=KINDS, **changes), WAVELENGTHS_NM, seed, workers)
    data.first_step = first_step
    return list(data.train_dataloader()), data


@pytest.mark.parametrize("kind", ["residual", "patch", "ratio"])
def test_what_an_augmentation_took_is_zero_and_masked(patches, kind):
    data = PatchDataset(
        patches, "train", variant_of(augmentation=["crop"], normalisation=kind), WAVELENGTHS_NM
    )
    plain = data[0]
    items = [data[0, draw] for draw in range(8)]
    cropped = [item for item in items if item["valid"].sum() < plain["valid"].sum()]
    assert 0 < len(cropped) < 8
    for item in cropped:
        assert all(torch.isfinite(part).all() for part in item.values())
        assert (item["target"][:, ~item["valid"][0]] == 0).all()
        assert item["valid"].sum() <= 0.8**2 * 64 * 64
        if kind != "patch":
            known = item["valid"][0]
            torch.testing.assert_close(item["target"][:, known], plain["target"][:, known])


def test_draws_are_those_of_the_seed_whoever_loads_them_and_wherever_a_training_goes_on(patches):
    whole, data = loaded(patches)
    again, _ = loaded(patches, workers=1)
    later, _ = loaded(patches, first_step=2)
    other, _ = loaded(patches, seed=4)
    assert [len(some) for some in (whole, again, later)] == [4, 4, 2]
    for one, two in [*zip(whole, again, strict=True), *zip(whole[2:], later, strict=True)]:
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one["valid"], two["valid"]) for one, two in zip(whole, other, strict=True))
    judged = next(iter(data.val_dataloader()))
    plain = PatchDataset(patches, "validation", variant_of(), WAVELENGTHS_NM)
    torch.testing.assert_close(
        judged["target"][0], plain[0]["target"], rtol=0, atol=0
    )  # validation is left alone
