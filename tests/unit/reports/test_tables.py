from __future__ import annotations

from orrery.reports.tables import tables_of
from tests.report_results import CHAMPION, rows


def test_paper_twin_and_real_never_share_a_column() -> None:
    first, second = tables_of(rows())
    assert [first.name, first.beside_paper] == ["Table I", True]
    (metric,) = first.metrics
    assert (metric.words, metric.unit, metric.sources) == ("δ 0.1", "0–1", ("paper", "twin", "real"))
    assert [cell.text for cell in first.lines["bicubic"]] == ["0.363", "0.8159", "0.1111"]
    assert [cell.text for cell in first.lines[CHAMPION]] == ["", "0.8674", ""]
    assert [cell.interval for cell in first.lines["bicubic"]] == ["", "[0.25, 0.75]", "[0.25, 0.75]"]
    assert [metric.sources for metric in second.metrics] == [("twin",)]
    assert not second.beside_paper


def test_what_an_interval_is_over() -> None:
    several = [row | {"interval_over": "seeds"} for row in rows()[:1]] + rows()[1:2]
    assert tables_of(several)[0].note == "95 % of the mean over seeds or range over scenes"
    assert tables_of(rows()[:1])[0].note == "range over scenes"
    assert tables_of([row | {"interval": None, "interval_over": None} for row in rows()])[0].note == ""
