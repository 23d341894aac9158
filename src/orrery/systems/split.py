"""Which scenes train, validate and test: by name, and never the same place on both sides."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import Field

from orrery.errors import OrreryError
from orrery.params import Section

SETS = ("train", "validation", "test", "extra")


class Placed(Protocol):
    """An aligned scene of any system."""

    @property
    def id(self) -> str:
        """Name of the scene."""
        ...

    @property
    def site(self) -> str:
        """Name of its ground."""
        ...


class SplitParams(Section):
    """Which scenes serve for what, by name pattern (`*` allowed); one that matches none is refused.

    `extra` are scenes judged but never trained on: the multi-illumination and the adjacent-pair studies.
    """

    train: list[str]
    validation: list[str]
    test: list[str]
    extra: list[str] = Field(default_factory=list)


def split_of(scene: str, split: SplitParams) -> str:
    """The set that a scene belongs to, by its name.

    Raises:
        OrreryError: no pattern, or patterns of two sets, match.
    """
    found = [
        name for name in SETS if any(fnmatch.fnmatch(scene, pattern) for pattern in getattr(split, name))
    ]
    if len(found) != 1:
        raise OrreryError(
            f"scene {scene!r} belongs to {' and '.join(found) or 'no set'}",
            file="params.yaml",
            remedy="make the patterns of its system's `split` name it in exactly one set",
        )
    return found[0]


def refuse_shared_ground(scenes: Sequence[Placed], sets: Mapping[str, str]) -> None:
    """No place may be trained on and judged, whatever its scenes are called.

    Raises:
        OrreryError: naming the places.
    """
    trained, judged = (
        {scene.site for scene in scenes if (sets[scene.id] == "train") == training}
        for training in (True, False)
    )
    if shared := sorted(trained & judged):
        raise OrreryError(
            f"{', '.join(shared)} would be trained on and judged",
            file="params.yaml",
            remedy="put all scenes of a site into one set of its system's `split`",
        )
