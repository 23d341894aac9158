"""What a lost server did not take is kept, and sent before the training goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytorch_lightning.loggers import MLFlowLogger

from orrery.tracking.logger import RunLogger


def test_values_that_a_server_did_not_take_are_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[dict[str, float], int]] = []

    def lost(self: MLFlowLogger, metrics: dict[str, float], step: int) -> None:
        raise ConnectionError

    def taken(self: MLFlowLogger, metrics: dict[str, float], step: int) -> None:
        sent.append((metrics, step))

    unsent = tmp_path / "mlruns/unsent/run.jsonl"
    logger = RunLogger("http://127.0.0.1:9", "run", unsent=unsent)
    monkeypatch.setattr(MLFlowLogger, "log_metrics", lost)
    with pytest.raises(ConnectionError):
        logger.log_metrics({"loss": 1.0}, 4)
    monkeypatch.setattr(MLFlowLogger, "log_metrics", taken)
    again = RunLogger("http://127.0.0.1:9", "run", logged={"loss": 3}, unsent=unsent)
    again.send_again()
    again.log_metrics({"loss": 1.0}, 4)
    again.log_metrics({"loss": 0.5}, 5)
    assert sent == [({"loss": 1.0}, 4), ({"loss": 0.5}, 5)]
    assert not unsent.exists()
