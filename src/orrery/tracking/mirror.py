"""The W&B mirror of a run: the same id, off by default, and never a reason for a training to fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from orrery.params import TrackingParams

START_SECONDS = 30.0
FINISH_SECONDS = 60.0


class Mirror:
    """Repeats to W&B what a run logs; the first failure prints one line and ends the mirroring, nothing else.

    Args:
        start: opens the W&B run; None for a mirror that shows nothing.
    """

    def __init__(self, start: Callable[[], Any] | None = None) -> None:
        self._run: Any = None
        if start is not None:
            self._run = self._guarded(start)

    def log(self, values: Mapping[str, Any], step: int | None) -> None:
        """Mirror metrics; the step is a value beside them, so that a resumed run may log earlier steps."""
        if self._run is not None:
            self._guarded(lambda: self._run.log({**values, "trainer/global_step": step or 0}))

    def log_images(self, key: str, images: list[NDArray[np.uint8]], step: int | None) -> None:
        """Mirror (H, W) or (H, W, 3) pictures."""
        if self._run is not None:
            self._guarded(lambda: self._run.log({key: _pictures(images), "trainer/global_step": step or 0}))

    def finish(self, *, failed: bool) -> None:
        """End the W&B run, waiting a limited time for its uploads."""
        if self._run is not None:
            self._guarded(lambda: self._run.finish(exit_code=int(failed)))

    def _guarded(self, action: Callable[[], object]) -> object:
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - whatever a remote service raises, a training goes on
            self._run = None
            problem = " ".join(str(error).split())[:160]
            click.echo(
                f"W&B mirror off ({type(error).__name__}: {problem}); the run goes on in MLflow", err=True
            )
            return None


def open_mirror(
    params: TrackingParams, run_id: str, name: str, config: Mapping[str, Any], root: Path
) -> Mirror:
    """Start mirroring the run `run_id` as `params` asks; files of an offline mirror are in `root`/wandb."""
    if params.wandb == "off":
        return Mirror()
    return Mirror(lambda: _start(params, run_id, name, config, root))


def _start(params: TrackingParams, run_id: str, name: str, config: Mapping[str, Any], root: Path) -> object:
    import wandb  # optional and slow to import: only when it is asked for

    online = params.wandb == "online"
    if online and not wandb.login(prompt=False):
        raise ValueError("no API key: run `wandb login`, or set tracking.wandb to offline")
    settings = wandb.Settings(
        silent=True,
        console="off",
        init_timeout=START_SECONDS,
        finish_timeout=FINISH_SECONDS,
        x_graphql_retry_max=2,
        x_file_stream_retry_max=2,
        x_file_transfer_retry_max=2,
    )
    return wandb.init(
        id=run_id,
        name=name,
        project=params.wandb_project,
        config=dict(config),
        dir=str(root),
        resume="allow",
        mode="online" if online else "offline",
        settings=settings,
    )


def _pictures(images: list[NDArray[np.uint8]]) -> list[Any]:
    import wandb

    return [wandb.Image(image) for image in images]
