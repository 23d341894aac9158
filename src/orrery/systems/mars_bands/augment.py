"""The paper's augmentations of training patches (Stepcenkov et al. 2022, section 4.4).

Image and cube alike are left as they are, turned, cropped or lose a section, each with the same chance. No reflectance is touched, and
nothing is flipped: the sun stands in the west over every image of this orbit. Pixels that an augmentation takes away are NaN,
hence masked in the loss. The zoom that the paper names too is left out: it gives no range, and CRISM's blur has one scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Augmentation = Literal["rotate", "crop", "erase"]
MOST_TURNED_DEG = 20.0
CROPPED = (3 / 5, 4 / 5)  # height and width of what is left, of the patch's side
ERASED = (1 / 5, 2 / 5)  # height and width of what is taken away


def augmented(
    planes: Mapping[str, Array], kinds: Sequence[Augmentation], rng: np.random.Generator
) -> dict[str, Array]:
    """Planes of a patch, (..., H, W) each, all treated in one way.

    Args:
        planes: `image`, `bands` and what else there is.
        kinds: what may be done to them.
        rng: decides.
    """
    side = next(iter(planes.values())).shape[-1]
    choice = (None, *kinds)[rng.integers(len(kinds) + 1)]
    if choice is None:
        return dict(planes)
    if choice == "rotate":
        angle_deg = rng.uniform(-MOST_TURNED_DEG, MOST_TURNED_DEG)
        return {name: rotated(plane, angle_deg) for name, plane in planes.items()}
    section, inside = (
        np.zeros((side, side), bool),
        _section(side, CROPPED if choice == "crop" else ERASED, rng),
    )
    section[inside] = True
    kept = section if choice == "crop" else ~section
    return {name: np.where(kept, plane, np.float32(np.nan)) for name, plane in planes.items()}


def rotated(plane: Array, angle_deg: float) -> Array:
    """(..., H, W) turned about its centre, counter-clockwise as it is shown, bilinearly; NaN where nothing is known."""
    angle = math.radians(angle_deg)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = (np.array(plane.shape[-2:]) - 1) / 2
    layers = [
        ndimage.affine_transform(layer, turn, middle - turn @ middle, order=1, cval=np.nan)
        for layer in plane.reshape(-1, *plane.shape[-2:])
    ]
    return np.asarray(layers, np.float32).reshape(plane.shape)


def _section(side: int, share: tuple[float, float], rng: np.random.Generator) -> tuple[slice, slice]:
    """A rectangle anywhere in a patch, height and width independent of each other."""
    sizes = np.rint(rng.uniform(*share, 2) * side).astype(int)
    starts = [int(rng.integers(side - size + 1)) for size in sizes]
    rows, columns = (slice(start, start + int(size)) for start, size in zip(starts, sizes, strict=True))
    return rows, columns
