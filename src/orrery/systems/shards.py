"""Patches as the patch stages store them: an index, and shards of planes that its rows lead to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open

from orrery.files import reading

REMEDY = "run the patch stage again"
INDEX = "index.parquet"
Plane = Callable[[str], Any]


def read_index(root: Path, columns: Collection[str]) -> pd.DataFrame:
    """The index of all patches.

    Args:
        root: what the patch stage wrote.
        columns: that it must have besides `shard`, `position` and `set`.

    Raises:
        OrreryError: it is missing, damaged, or lacks a column.
    """
    path = root / INDEX
    with reading(path, "an index of patches", REMEDY), path.open("rb") as stream:
        index = pd.read_parquet(stream)
        if lacking := sorted({"shard", "position", "set", *columns} - set(index.columns)):
            raise ValueError(f"lacks {', '.join(lacking)}")
    return index


@contextmanager
def open_patch(
    root: Path, row: pd.Series, framework: str = "numpy"
) -> Iterator[tuple[Plane, frozenset[str]]]:
    """A function that reads a plane of one patch by its name, and the names of all planes.

    Args:
        root: what the patch stage wrote.
        row: of the index.
        framework: "numpy" or "pt".

    Raises:
        OrreryError: the shard is missing, damaged, or has no such plane.
    """
    path, position = root / str(row["shard"]), int(row["position"])
    with reading(path, "a shard of patches", REMEDY), safe_open(path, framework) as shard:
        yield lambda name: shard.get_slice(name)[position], frozenset(shard.keys())
