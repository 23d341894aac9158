import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks import run
from benchmarks.row import Row
from orrery.errors import OrreryError


def row(**changed):
    return Row(
        **{"name": "alignment", "figure": 0.1, "unit": "posting", "conditions": "twin, 3 scenes", **changed}
    )


@pytest.fixture
def benchmarks(monkeypatch):
    """Register modules of rows as `benchmarks.bench_<name>`, without files."""

    def register(**modules):
        monkeypatch.setattr(run, "available", lambda: sorted(modules))
        for name, rows in modules.items():
            monkeypatch.setitem(sys.modules, f"benchmarks.bench_{name}", SimpleNamespace(rows=rows))

    return register


@pytest.mark.parametrize(
    ("changed", "met"),
    [
        ({}, None),
        ({"goal": "figure <= 0.1"}, True),
        ({"goal": "figure <= 0.09"}, False),
        ({"goal": "figure >= 0.1"}, True),
        ({"goal": "ratio >= 0.3", "peer_figure": 0.4}, False),
        ({"goal": "ratio <= 2.5e-1", "peer_figure": 0.4}, True),
        ({"goal": "figure <= 1", "figure": float("nan")}, False),
        ({"goal": "figure >= 1", "figure": float("nan")}, False),
    ],
)
def test_a_goal_has_a_subject_a_direction_and_a_bound(changed, met):
    assert row(**changed).met is met


@pytest.mark.parametrize("goal", ["0.1", "< 0.1", "figure < 0.1", "figure <= much", "time <= 1"])
def test_a_goal_without_direction_is_refused(goal):
    with pytest.raises(ValueError, match="is not like"):
        row(goal=goal)


@pytest.mark.parametrize("peer_figure", [None, 0.0])
def test_a_goal_on_the_ratio_needs_something_to_divide_by(peer_figure):
    assert row(peer_figure=peer_figure).ratio is None
    with pytest.raises(ValueError, match="needs a peer"):
        row(goal="ratio <= 1", peer_figure=peer_figure)


def test_the_report_holds_the_promised_keys_and_the_computed_ratio(benchmarks, tmp_path, capsys):
    measured = row(peer="start", peer_figure=4.0, goal="ratio <= 0.05")
    benchmarks(one=lambda: [measured], two=lambda: [row(name="speed", figure=float("nan"))])
    report = tmp_path / "reports" / "benchmarks.json"
    assert run.main([], report) == 0
    first, second = json.loads(report.read_text())
    assert set(first) >= {"name", "figure", "unit", "peer", "peer_figure", "ratio", "goal", "conditions"}
    assert first["ratio"] == pytest.approx(0.025)
    assert second["figure"] is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [
        "alignment",
        "0.1",
        "posting",
        "start",
        "4",
        "0.025",
        "ratio",
        "<=",
        "0.05",
        "yes",
    ]
    assert lines[2].strip() == "twin, 3 scenes"


def test_only_the_named_benchmarks_run(benchmarks, tmp_path):
    benchmarks(one=lambda: [row(name="one")], two=lambda: pytest.fail("was not asked for"))
    assert run.main(["one"], tmp_path / "b.json") == 0


def test_an_unknown_name_is_refused_and_nothing_is_written(benchmarks, tmp_path, capsys):
    benchmarks(one=lambda: pytest.fail("must not run"))
    assert run.main(["on"], tmp_path / "b.json") == 2
    assert capsys.readouterr().err == "no benchmark on; choose among one\n"
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_run_is_told_and_the_others_stay(benchmarks, tmp_path, capsys):
    def absent():
        raise OrreryError("no champion", remedy="run make repro first")

    benchmarks(one=absent, two=lambda: [row()])
    assert run.main([], tmp_path / "b.json") == 1
    assert "one did not run: no champion; run make repro first" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "b.json").read_text())) == 1


def test_the_benchmarks_of_this_repository_are_found(repository):
    assert run.available() == sorted(path.stem[6:] for path in (repository / "benchmarks").glob("bench_*.py"))
