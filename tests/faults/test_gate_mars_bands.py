"""Each expectation of mars-bands is broken once, and five pairs that alignment cannot mend are stopped by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orrery.gates import judge
from orrery.params import load_params
from orrery.raster.cube import read_cube
from orrery.raster.io import write
from orrery.raster.scene import list_scenes
from orrery.seeds import stream
from orrery.systems.base import get_section
from orrery.systems.mars_bands.align import AlignParams, align_scenes
from tests.unit.systems.mars_scenes import make_scene

pytestmark = pytest.mark.faults

GATE = get_section(load_params(Path(__file__).parents[2] / "params.yaml"), "mars-bands").gate
BOUNDS = [
    (name, end) for name, item in GATE.items() for end in ("min", "max") if getattr(item, end) is not None
]
GOOD = {
    "pair": "crism-to-ctx",
    "shift_x_px": 36.0,
    "shift_y_px": -21.0,
    "shift_m": 250.0,
    "residual_px": 0.35,
    "residual_m": 2.1,
    "tie_points_used": 105,
    "tie_points_held_out": 25,
    "valid_share": 0.98,
    "empty_blocks": 0.0,
    "spread": 0.97,
    "ncc_before": 0.3,
    "ncc_after": 0.93,
    "ssim_gain": 0.7,
    "valid_fraction": 0.38,
    "time_difference_days": 16.0,
    "overlap_fraction": 0.0,
    "true_error_px": np.nan,
}


@pytest.fixture
def table():
    """What alignment measures where it succeeds: a scene of each set."""
    return pd.DataFrame(
        [{"scene": f"{name}-gale-0", "kind": "gale", **GOOD} for name in ("train", "val", "test")]
    )


def fails(table, name):
    """Judge by one expectation; the rows it names, after checking that what is critical shuts the gate."""
    verdict = judge(table, {name: GATE[name]})
    (judgement,) = verdict.judgements
    assert verdict.passed is (judgement.passed or GATE[name].severity != "critical")
    return [] if judgement.passed else [failure.row for failure in judgement.failures]


def test_a_good_alignment_passes_every_expectation(table):
    verdict = judge(table, GATE)
    assert [item.message() for item in verdict.judgements if not item.passed] == []
    assert not verdict.structure


@pytest.mark.parametrize(("name", "end"), BOUNDS)
def test_a_value_beyond_the_bound_fails_and_one_on_it_does_not(table, name, end):
    expectation, bound = GATE[name], float(getattr(GATE[name], end))
    table[expectation.column] = table[expectation.column].astype(float)
    table.loc[1, expectation.column] = bound
    assert fails(table, name) == []
    beyond = 1e-3 * max(abs(bound), 1.0)
    table.loc[1, expectation.column] = bound + beyond if end == "max" else bound - beyond
    assert fails(table, name) == [{"scene": "val-gale-0", "pair": "crism-to-ctx"}]


@pytest.mark.parametrize("name", [name for name, item in GATE.items() if not item.optional])
def test_a_measurement_that_is_lacking_fails(table, name):
    table[GATE[name].column] = table[GATE[name].column].astype(float)
    table.loc[2, GATE[name].column] = np.nan
    assert fails(table, name) == [{"scene": "test-gale-0", "pair": "crism-to-ctx"}]


# Spoiled pairs, aligned for real


def another_ground(values):
    return values[:, ::-1, ::-1]


def noisy(values):
    spread = 3 * np.nanstd(values, axis=(1, 2), keepdims=True)
    return values + spread * stream(1, "noise").standard_normal(values.shape)


def half_blank(values):
    blank = np.where(np.arange(values.shape[1]) < 50, 0, 1)[:, None]
    return np.where(np.isfinite(values), 0.2 + blank * (values - 0.2), np.nan)


def torn(values):
    """A gap in the flight: the lower half lies 12 px aside."""
    return np.concatenate([values[:, :50], np.roll(values[:, 50:], 12, axis=2)], axis=1)


def wavering(values):
    """Jitter of 3 px along the columns, faster than any tie point follows."""
    shifts = np.rint(3 * np.sin(np.arange(values.shape[1]) * 2 * np.pi / 20)).astype(int)
    return np.stack([np.roll(values[:, row], shift, axis=1) for row, shift in enumerate(shifts)], axis=1)


SPOILS = (another_ground, noisy, half_blank, torn, wavering)


def test_five_spoiled_pairs_are_stopped_by_name_and_the_good_one_passes(tmp_path):
    for spoil in SPOILS:
        name, kind = f"train-{spoil.__name__}", f"FRT-{spoil.__name__}"
        make_scene(tmp_path / "data", name, products={"crism": kind, "ctx": "P01"})
        path = tmp_path / "data" / name / "crism.tif"
        cube = read_cube(path)
        bands = zip(cube.wavelengths_nm, spoil(cube.values).astype(np.float32), strict=True)
        write(path, {f"{nm:.2f} nm": values for nm, values in bands}, cube.grid)
    make_scene(tmp_path / "data", "train-good", products={"crism": "FRT-good", "ctx": "P01"})
    rows = align_scenes(list_scenes(tmp_path / "data"), tmp_path / "out", AlignParams(), 7)
    verdict = judge(pd.DataFrame(rows), GATE)
    stopped = {
        failure.row["pair"]
        for item in verdict.judgements
        for failure in item.failures
        if item.expectation.severity == "critical"
    }
    assert not verdict.passed
    assert stopped == {f"FRT-{spoil.__name__} on P01" for spoil in SPOILS}
