from __future__ import annotations

from orrery.reports.calibration import calibration_of
from tests.report_results import metrics


def test_coverage_of_the_test_scenes_as_aligned() -> None:
    found = calibration_of(metrics())
    assert found is not None
    assert found.columns == ("coverage, share within 1σ",)
    assert found.lines == {"test-flat": ["0.6467"], "test-wall": ["0.6467"]}
    assert found.plot is not None
    assert found.plot.source.startswith("data:image/webp;base64,")


def test_without_shares_there_is_no_plot_and_without_a_1_sigma_nothing() -> None:
    scenes = {"a": {"set": "test", "rmse_m": 1.0, "coverage_1sigma_all": 0.5}}
    found = calibration_of({"scenes": scenes})
    assert found is not None
    assert found.plot is None
    del scenes["a"]["coverage_1sigma_all"]
    assert calibration_of({"scenes": scenes}) is None
