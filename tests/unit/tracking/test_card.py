from orrery.tracking.card import model_card


def test_a_card_tells_gate_metrics_and_limits() -> None:
    text = model_card(
        system="lunar-dtm",
        variant="ours",
        summary="One image in, heights out.",
        run={"run": "abc", "commit": "def"},
        data={"md5 of data.dvc": "012"},
        metrics={"wall": {"rmse_m": 4.04321, "slope_deg": 3.0}, "flat": {"rmse_m": 1.5}},
        gate={"passed": False},
        limits=["No shadows deeper than a pixel."],
    )
    lines = text.splitlines()
    assert lines[0] == "# lunar-dtm: ours"
    assert "| | rmse_m | slope_deg |" in lines
    assert "| wall | 4.043 | 3 |" in lines
    assert "| flat | 1.5 | |" in lines
    assert "Passed: no" in lines
    assert "- No shadows deeper than a pixel." in lines
    assert text.endswith("- md5 of data.dvc: 012\n")
