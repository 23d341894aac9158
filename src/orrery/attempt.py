"""One training under way: what it has reached outlives a kill."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from orrery.checkpoints import LAST, plain
from orrery.files import read_text_of, remove, replacing, write_json, write_tensors

BEGUN = "training.json"


@dataclass(frozen=True)
class Attempt:
    """One training under way, in a scratch folder that outlives a kill.

    Attributes:
        scratch: the folder.
        key: what its checkpoints belong to; with another key they are worth nothing.
    """

    scratch: Path
    key: str

    @property
    def trained(self) -> Path:
        """Where the result lies once all is done."""
        return self.scratch / "trained"

    @property
    def checkpoint(self) -> Path:
        """The last state that was kept."""
        return self.scratch / LAST

    @property
    def kept(self) -> Path:
        """Is there once the run has everything, too, and has ended."""
        return self.scratch / "kept"

    def begin(self) -> str:
        """A name under which the training's run is found again, noted before there is a run.

        The folder is emptied first where it belongs to another key.
        """
        state = self.scratch / BEGUN
        if not state.exists() or read_text_of(state, "key") != self.key:
            remove(self.scratch)
            write_json(state, {"key": self.key, "attempt": uuid.uuid4().hex})
        return read_text_of(state, "attempt")

    @rank_zero_only
    def finish(self, task: pl.LightningModule, recipe: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Write weights, recipe and run id, all or nothing; the run may still lack them."""
        with replacing(self.trained) as temporary:
            temporary.mkdir()
            write_tensors(temporary / "weights.safetensors", plain(task.net))  # type: ignore[arg-type]
            write_json(temporary / "recipe.json", dict(recipe))
            write_json(temporary / "run.json", dict(run))

    @rank_zero_only
    def keep(self) -> None:
        """Note that the run has ended."""
        self.kept.touch()
