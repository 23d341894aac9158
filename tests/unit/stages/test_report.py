from __future__ import annotations

from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.stages import report
from orrery.tracking.registry import find_version
from orrery.tracking.store import connect
from tests.report_results import SYSTEM, write_results


def test_every_system_with_results_gets_its_page(
    clone: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = str(find_version(connect(clone), SYSTEM, "2").run_id)
    write_results(clone, repository, run_id)
    report.run(None)
    assert (
        capsys.readouterr().out
        == f"reports/{SYSTEM}/report.html, logged as runs:/{run_id}/report/report.html\n"
    )
    page = (clone / f"reports/{SYSTEM}/report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert run_id in page
    assert "Model card of version 2" in page


def test_without_results_it_says_which_command_makes_them(project: Path, repository: Path) -> None:
    work = write_results(project, repository)
    (work.reports / "tables.json").unlink()
    with pytest.raises(OrreryError, match=r"^reports: holds no results; run `make repro` first$"):
        report.run(None)
    with pytest.raises(OrreryError, match=r"tables\.json: does not exist; run `make repro`"):
        report.run(SYSTEM)


def test_without_runs_the_figures_still_have_their_page(
    project: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".git").mkdir()
    write_results(project, repository)
    report.run(SYSTEM)
    assert "without a registered version" in capsys.readouterr().out
    assert "The registry has no version" in (project / f"reports/{SYSTEM}/report.html").read_text()
    assert not (project / "mlruns").exists()
