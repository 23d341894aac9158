"""`orrery ui` in a browser: this clone's experiments, a run's pictures, the champion and its report."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow.tracking._tracking_service import utils

from orrery.stages import report
from orrery.tracking.evaluation import log_evaluation
from orrery.tracking.promotion import promote
from orrery.tracking.registry import find_version
from orrery.tracking.store import connect
from tests.report_results import CHAMPION, SYSTEM, write_results
from tests.tracking_helpers import RULES, copy_clone, evaluate

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
Open = Callable[..., "Page"]


@dataclass(frozen=True)
class Served:
    """A clone whose `orrery ui` runs."""

    address: str
    experiment: str
    run_id: str


@pytest.fixture(scope="module")
def served(template: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two versions, the second one champion, with pictures and a report; moved since it was made."""
    with pytest.MonkeyPatch.context() as patch:
        root = copy_clone(template, tmp_path_factory.mktemp("served") / "clone")
        utils._artifact_repos_cache.clear()  # MLflow knows the template's runs by the same ids
        patch.chdir(root)
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert promote(SYSTEM, RULES, evaluate, root=root).promoted
        client = connect(root)
        run_id = str(find_version(client, SYSTEM, "champion").run_id)
        work = write_results(root, repository, run_id)
        log_evaluation(run_id, {"scenes": {}}, work.report(CHAMPION), root=root)
        report.run(SYSTEM)
        experiment = client.get_run(run_id).info.experiment_id
        process, address = started(root)
        try:
            yield Served(address, experiment, run_id)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def started(root: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        shutil.which("orrery", path=Path(sys.executable).parent) or "orrery",
        "ui",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        command, cwd=root, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2)
            return process, address
        except (urllib.error.URLError, TimeoutError):
            time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("orrery ui does not answer within two minutes")


def test_it_opens_on_this_clones_experiments(open_page: Open, served: Served, screenshots: Path) -> None:
    page = open_page(f"{served.address}/#/experiments")
    page.get_by_role("link", name=SYSTEM).first.wait_for()
    page.screenshot(path=screenshots / "mlflow-experiments.png")
    page.get_by_role("link", name=SYSTEM).first.click()
    page.wait_for_url(f"**/experiments/{served.experiment}**")


def test_a_runs_pictures_are_seen(open_page: Open, served: Served, screenshots: Path) -> None:
    run = f"{served.address}/#/experiments/{served.experiment}/runs/{served.run_id}"
    page = open_page(f"{run}/artifacts/evaluation/test-flat.png")
    picture = page.locator("img[src^='blob:']").first
    picture.wait_for()
    assert picture.evaluate(
        "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"
    ) == [160, 120]
    page.screenshot(path=screenshots / "mlflow-picture.png")


def test_the_champion_is_named_and_leads_to_its_report(
    open_page: Open, served: Served, screenshots: Path
) -> None:
    page = open_page(f"{served.address}/#/models/{SYSTEM}")
    page.get_by_text("champion").first.wait_for()
    page.screenshot(path=screenshots / "mlflow-champion.png")
    page.goto(f"{served.address}/#/models/{SYSTEM}/versions/2")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Report", exact=True).first.click()
    title = opened.value.frame_locator("iframe").locator("header h1")
    title.wait_for()
    assert title.inner_text() == SYSTEM
    opened.value.screenshot(path=screenshots / "mlflow-report.png")
