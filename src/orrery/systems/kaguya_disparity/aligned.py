"""An aligned scene as the later stages read it: a file of planes for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from orrery.files import read_as, reading, replacing, write_json, write_tensors
from orrery.raster.scene import Scene
from orrery.systems.kaguya_disparity.conditions import Condition

Array = NDArray[np.float32]
# `left`, `right` (compressed, the right one rectified by the disparity, counts), `disparity` (of the compressed pair, px),
# `residual` (disparity of the uncompressed pair less that one, px), `valid` and `matched` (1 or 0: with and without false
# matches left out); of a twin `true` (px); under the first condition the planes of the linear model. All (H, W), finite.
Planes = dict[str, Array]
SCENE = "scene.json"
REMEDY = "run the align stage again"
NEEDED = {"left", "right", "disparity", "residual", "valid"}
STORED: dict[str, type[np.generic]] = {
    "left": np.uint16, "valid": np.uint8, "matched": np.uint8, "residual": np.float16
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What `scene.json` holds; see `AlignedPair`."""

    id: str
    site: str
    kind: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class AlignedPair:
    """One folder that the align stage wrote.

    Attributes:
        folder: of the scene.
        id: its name.
        site: name of its ground.
        kind: of its terrain.
        conditions: the standard one first.
    """

    folder: Path
    id: str
    site: str
    kind: str
    conditions: tuple[Condition, ...]

    def planes(self, condition: Condition) -> Planes:
        """All planes under a condition.

        Raises:
            OrreryError: the file is missing or damaged.
        """
        path = self.folder / f"{condition.key}.safetensors"
        with reading(path, "a file of planes", REMEDY), safe_open(path, "numpy") as file:
            planes = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            if lacking := sorted(NEEDED - set(planes)):
                raise ValueError(f"lacks {', '.join(lacking)}")
            if len({plane.shape for plane in planes.values()}) > 1:
                raise ValueError("its planes differ in size")
        return planes


def write_aligned(folder: Path, scene: Scene, found: Sequence[tuple[Condition, Planes]]) -> None:
    """Write a scene's folder, whole or not at all."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        for condition, planes in found:
            write_tensors(temporary / f"{condition.key}.safetensors", _compact(planes))
        write_json(
            temporary / SCENE,
            {
                "id": scene.id,
                "site": scene.site,
                "kind": scene.kind,
                "conditions": [vars(condition) for condition, _ in found],
            },
        )


def _compact(planes: Mapping[str, Array]) -> dict[str, NDArray[np.generic]]:
    """Each plane in as few bytes as hold it: residuals, of half a pixel at most, to a few ten-thousandths."""
    return {name: plane.astype(STORED.get(name, np.float32)) for name, plane in planes.items()}


def load_aligned(folder: Path) -> AlignedPair:
    """Read one folder.

    Raises:
        OrreryError: its description is missing or damaged.
    """
    told = read_as(folder / SCENE, Description, "the description of a scene", REMEDY)
    return AlignedPair(folder, **vars(told))


def list_aligned(root: Path) -> list[AlignedPair]:
    """All scenes under what the align stage wrote, by name."""
    return [load_aligned(folder) for folder in sorted(root.iterdir()) if folder.is_dir()]
