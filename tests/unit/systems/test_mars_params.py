"""The section systems.mars-bands: what is refused before anything is computed, and by which key."""

import copy
import shutil
from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.params import OVERLAY, load_params, validate
from orrery.systems.base import get_section
from orrery.systems.mars_bands.params import MarsParams
from orrery.systems.mars_bands.system import SYSTEM
from tests.unit.systems.mars_patches import SECTION

SPECTRAL = {"bands": "all", "head": {"name": "spectral", "dimensions": 3}}
CLASSIFICATION = {"name": "classification", "n_edges": 9, "spacing": "sid"}


def edited(path, value):
    """The section with one key, given by its path, set."""
    tree = copy.deepcopy(SECTION)
    *way, last = path.split(".")
    place = tree
    for part in way:
        place = place[part]
    place[last] = value
    return tree


def told(tree):
    with pytest.raises(OrreryError) as error:
        validate(MarsParams, tree, file=Path("params.yaml"), at="systems.mars-bands")
    assert error.value.file == Path("params.yaml")
    return error.value.problem


@pytest.mark.parametrize("scale", ["demo", "full"])
def test_the_repositorys_own_section_is_valid_at_both_scales(scale, repository, tmp_path):
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    shutil.copy(repository / OVERLAY, tmp_path)
    (tmp_path / "params.yaml").write_text(text.replace("scale: demo", f"scale: {scale}", 1))
    section = get_section(load_params(tmp_path / "params.yaml"), "mars-bands")
    assert section.champion_variant in section.variants
    assert section.patch.size_px == {"demo": 128, "full": 256}[scale]
    assert section.variants["unaligned"].placement == "none"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("variants.ours.placement", "true", "variants.ours.placement: 'true' is not among patch.placements"),
        ("variants.ours.bands", [592.35, 700.0], "variants.ours.bands: 700.0 nm is not among patch.wavelengths_nm"),
        ("variants.ours.placement", "elsewhere", "variants.ours.placement: "),
        ("variants.ours.bands", [], "variants.ours.bands.list"),
        ("variants.ours.bands", [-1.0], "].0: input should be greater than 0"),
        ("variants.ours.normalisation", "minmax", "variants.ours.normalisation: "),
        ("variants.ours.losses", {"hinge": 1.0}, "variants.ours.losses.hinge"),
        ("variants.ours.losses", {"squared": -1.0}, "variants.ours.losses.squared: "),
        ("variants.ours.losses", {"squared": 0.0}, "variants.ours: value error, losses: none has a weight"),
        ("variants.ours.losses", {"cross_entropy": 1.0}, "losses.cross_entropy: a regression has none"),
        ("variants.ours.network.widths", [8], "variants.ours.network.half-resolution-unet.widths: "),
        ("variants.ours.leaveout", ["gale"], "variants.ours.leaveout: "),
        ("variants.ours.head", {**CLASSIFICATION, "n_edges": 2}, "variants.ours.head.classification.n_edges: "),
        ("variants.ours.head", CLASSIFICATION, "losses.uncertainty: a classification has none"),
        ("patch.size_px", 100, "patch.size_px: "),
        ("patch.size_px", 32, "patch.size_px: "),
        ("patch.placements", ["none"], "patch.placements: lacks 'local'"),
        ("patch.placements", [], "patch.placements: "),
        ("patch.min_valid_fraction", 1.5, "patch.min_valid_fraction: "),
        ("patch.clip.percentile", 50, "patch.clip.percentile: "),
        ("patch.clip.name", "tails", "patch.clip.name: "),
        ("patch.wavelengths_nm", ["592"], "patch.wavelengths_nm.0: "),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_by_the_path_of_its_key(path, value, complaint):
    problem = told(edited(path, value))
    assert problem.startswith("systems.mars-bands")
    assert complaint in problem


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"bands": "all"}, "bands: 'all' goes with the head 'spectral', and with no other"),
        ({"head": {"name": "spectral", "dimensions": 3}}, "bands: 'all' goes with the head 'spectral'"),
        ({**SPECTRAL, "normalisation": "image"}, "normalisation: 'image' has no way back from coefficients"),
        ({**SPECTRAL, "placement": "none"}, "placement: whole spectra are kept as aligned, not 'none'"),
        (SPECTRAL, "variants.ours.head.dimensions: patch.spectral_dimensions is 2"),
        ({"augmentation": ["flip"]}, "variants.ours.augmentation.0: "),
    ],
)
def test_spectra_and_augmentations_that_are_not_served_are_refused(changes, complaint):
    tree = edited("patch.spectral_dimensions", 2)
    tree["variants"]["ours"] |= changes
    assert complaint in told(tree)


def test_a_network_that_the_pipeline_trains_must_take_the_patches(repository, tmp_path):
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    line = "  mars-bands-image-wise: {<<: *mars, variant: image-wise}\n"
    assert line in text
    shutil.copy(repository / OVERLAY, tmp_path)
    for scale in ("demo", "full"):
        lines = line + line.replace("image-wise", "cgan-unet")
        changed = text.replace(line, lines, 1).replace("scale: demo", f"scale: {scale}", 1)
        (tmp_path / "params.yaml").write_text(changed)
        params = load_params(tmp_path / "params.yaml")
        if scale == "demo":
            with pytest.raises(OrreryError, match=r"variants\.cgan-unet\.network takes multiples of 256 px"):
                get_section(params, "mars-bands")
        else:
            assert get_section(params, "mars-bands").patch.size_px == 256
    section = get_section(load_params(repository / "params.yaml"), "mars-bands")
    with pytest.raises(OrreryError, match=r"patch\.size_px is 128"):
        SYSTEM.task(section, "cgan-unet")


def test_bands_within_a_nanometre_of_those_kept_are_these():
    section = MarsParams.model_validate(edited("variants.ours.bands", [592.0, 443.5]))
    assert section.variants["ours"].bands == [592.0, 443.5]
    assert "442" not in told(edited("variants.ours.bands", [592.35, 441.5]))
    assert "441.5 nm" in told(edited("variants.ours.bands", [592.35, 441.5]))
