"""Lightning loggers: of a tracked run, and of a training on a machine without MLflow."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger
from pytorch_lightning.utilities import rank_zero_only

from orrery.files import replacing
from orrery.tracking.mirror import Mirror

Picture = NDArray[np.uint8]


class RunLogger(MLFlowLogger):
    """Logs into a run that somebody else opens and ends, and into its W&B mirror.

    A resumed training repeats the steps since its last checkpoint; what the run already holds is not logged twice.

    Args:
        tracking_uri: where the run is.
        run_id: its id.
        mirror: receives the same.
        logged: the last step that the run holds of each metric.
    """

    def __init__(
        self,
        tracking_uri: str,
        run_id: str | None,
        mirror: Mirror | None = None,
        logged: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(tracking_uri=tracking_uri, run_id=run_id)
        self._mirror = mirror or Mirror()
        self._logged = dict(logged or {})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values of one step."""
        fresh = {name: value for name, value in metrics.items() if self._is_fresh(name, step)}
        if fresh:
            super().log_metrics(fresh, step)
            self._mirror.log(fresh, step)

    @rank_zero_only
    def log_image(self, key: str, images: list[Picture], step: int | None = None) -> None:
        """Log uint8 pictures, (H, W) or (H, W, 3), under one name."""
        if not self._is_fresh(f"image/{key}", step):
            return
        for number, image in enumerate(images):
            name = f"{key}-{number}" if len(images) > 1 else key
            self.experiment.log_image(self.run_id, image, key=name, step=step or 0)
        self._mirror.log_images(key, images, step)

    def _is_fresh(self, name: str, step: int | None) -> bool:
        return step is None or step > self._logged.get(name, -1)

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Nothing: the run has its parameters from params.yaml, once."""

    def finalize(self, status: str = "success") -> None:
        """Nothing: the run outlives the trainer."""


class FolderLogger(CSVLogger):
    """metrics.csv and pictures in a folder, with the same calls as `RunLogger`."""

    @rank_zero_only
    def log_image(self, key: str, images: list[Picture], step: int | None = None) -> None:
        """Write uint8 pictures, (H, W) or (H, W, 3), as PNG."""
        for number, image in enumerate(images):
            name = f"{key.replace('/', '-')}-{number}-step{step or 0}.png"
            with replacing(Path(self.log_dir) / name) as temporary:
                Image.fromarray(image).save(temporary)
