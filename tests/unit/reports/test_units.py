from __future__ import annotations

import pytest

from orrery.reports.units import bound, described, figure, labelled, span


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("rmse_m", "RMSE, m"),
        ("slope_mae_deg", "slope MAE, °"),
        ("rmse_if_all", "RMSE all, I/F"),
        ("rmse_to_coarse_m", "RMSE to coarse, m"),
        ("coverage_1sigma", "coverage, share within 1σ"),
        ("valid_fraction", "valid fraction, 0–1"),
        ("residual_px", "residual, px"),
        ("time_difference_days", "time difference, d"),
        ("m", "m"),
        ("pcc", "PCC"),
        ("eberswalde", "eberswalde"),
    ],
)
def test_a_metric_is_words_and_a_unit(metric: str, label: str) -> None:
    assert labelled(metric) == label
    assert ", ".join(filter(None, described(metric))) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.81591, "0.8159"), (-2, "−2"), (378912, "378\u2009912"), (None, "–"), (True, "True"), ("n/a", "n/a"), (1e-7, "1e−07"),
    ],
)  # fmt: skip
def test_figures(value: object, text: str) -> None:
    assert figure(value) == text


def test_bounds_and_intervals() -> None:
    assert bound(-60, 60, "d") == "≥ −60 d and ≤ 60 d"
    assert bound(0.5, None, "0–1") == "≥ 0.5"
    assert bound(None, None, "m") == ""
    assert span([0.25, 1]) == "[0.25, 1]"
    assert span(None) == span([1]) == ""
