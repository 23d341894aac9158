import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orrery.errors import OrreryError
from orrery.params import OVERLAY, load_params, overlaid
from orrery.systems.base import get_section

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def edited(tmp_path):
    """Write params.yaml with one text replaced, and the overlay beside it."""
    shutil.copy(REPOSITORY / OVERLAY, tmp_path)

    def write(old, new):
        assert old in TEXT
        path = tmp_path / "params.yaml"
        path.write_text(TEXT.replace(old, new, 1))
        return path

    return write


def test_the_repositorys_own_file_is_valid_at_both_scales(edited):
    for scale in ("demo", "full"):
        params = load_params(edited("scale: demo", f"scale: {scale}"))
        section = get_section(params, "lunar-dtm")
        assert section.champion_variant in section.variants


def test_full_scale_is_the_papers(edited):
    params = load_params(edited("scale: demo", "scale: full"))
    variant = get_section(params, "lunar-dtm").variants["dlunardtmnet"]
    assert variant.network.size == "full"
    assert (variant.optimiser.batch_size, variant.optimiser.learning_rate) == (4, 1e-4)
    assert get_section(params, "lunar-dtm").patch.height_px == 288


def test_what_is_turned_to_the_sun_must_be_square(edited):
    params = load_params(edited("      height_px: 160\n", "      height_px: 192\n"))
    with pytest.raises(OrreryError, match=r"lunar-dtm\.variants\.orrery-dtm turns patches.*be equal"):
        get_section(params, "lunar-dtm")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 7", "sed: 7", "sed: extra inputs"),
        ("gsd_m: 3.0", "gsd_m: -3.0", "ingest.moon.gsd_m: input should be greater than 0"),
        ("gsd_m: 3.0", "gsd_m: '3'", "ingest.moon.gsd_m: input should be a valid number"),
        ("gsd_m: 3.0", "gsd_m: .nan", "ingest.moon.gsd_m"),
        ("region: melas}", "region: tharsis}", "ingest.mars.scenes.train-melas-1.region"),
        ("wavelengths_nm: [442.63", "wavelengths_nm: [-442.63", "ingest.mars.wavelengths_nm"),
        (
            "min_offset_m: 200.0",
            "min_offset_m: 400.0",
            "ingest.mars: value error, min_offset_m must not exceed",
        ),
        ("scale: demo", "scale: huge", "scale: input should be 'demo' or 'full'"),
        (
            "lunar-dtm-no-sun-constants: {<<: *lunar, variant: no-sun-constants}",
            "lunar-dtm-x: {<<: *lunar, variant: x}",
            "models.lunar-dtm-x",
        ),
        (
            "mars-bands-unaligned: {<<: *mars, variant: unaligned}",
            "mars-bands-unaligned: {<<: *mars, code: src/orrery, variant: unaligned}",
            "models.mars-bands-unaligned.code",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_the_path_of_its_key(edited, old, new, told):
    with pytest.raises(OrreryError) as caught:
        load_params(edited(old, new))
    assert told in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_a_systems_section_is_refused_with_the_whole_path(edited):
    params = load_params(edited("learning_rate: 2.0e-3", "learning_rate: fast"))
    with pytest.raises(
        OrreryError, match=r"systems\.lunar-dtm\.variants\.orrery-dtm\.optimiser\.learning_rate"
    ):
        get_section(params, "lunar-dtm")


def test_numbers_are_read_as_dvc_reads_them(edited):
    """YAML 1.1 would make 2e-3 a string."""
    params = load_params(edited("learning_rate: 2.0e-3", "learning_rate: 2e-3"))
    assert get_section(params, "lunar-dtm").variants["orrery-dtm"].optimiser.learning_rate == 0.002


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "\x00", "seed: 1\nseed: 2"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(OrreryError):
        load_params(path)


def test_a_missing_file_says_where_to_go(tmp_path):
    with pytest.raises(OrreryError, match="run inside a clone"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_overlay_is_told(tmp_path):
    (tmp_path / "params.yaml").write_text(TEXT.replace("scale: demo", "scale: full", 1))
    with pytest.raises(OrreryError, match=OVERLAY):
        load_params(tmp_path / "params.yaml")


def test_the_digest_ignores_comments_and_order(edited):
    plain = load_params(edited("seed: 7", "seed: 7"))
    commented = load_params(edited("seed: 7", "# a comment\nseed: 7"))
    assert plain.digest() == commented.digest()
    assert plain.digest() != load_params(edited("seed: 7", "seed: 8")).digest()


TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)


@given(st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES))
def test_an_overlay_wins_and_loses_nothing(base, overlay):
    merged = overlaid(base, overlay)
    assert set(merged) == set(base) | set(overlay)
    assert overlaid(merged, overlay) == merged


@settings(max_examples=30)
@given(st.data())
def test_a_mutated_file_is_read_or_refused(tmp_path_factory, data):
    """One value anywhere in the tree replaced by something else."""
    tree = YAML(typ="safe", pure=True).load(TEXT)
    node = tree
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        child = node[key]
        if not child or not isinstance(child, dict | list) or data.draw(st.booleans()):
            break
        node = child
    node[key] = data.draw(
        st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4), st.just([]), st.just({}))
    )
    path = tmp_path_factory.mktemp("fuzz") / "params.yaml"
    with path.open("w") as stream:
        YAML().dump(tree, stream)
    told = ""
    try:
        get_section(load_params(path), "lunar-dtm")
    except OrreryError as error:
        told = str(error)
    assert not told or "params.yaml" in told
