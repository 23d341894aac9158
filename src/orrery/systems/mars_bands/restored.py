"""The product of a restoration: filled bands, the origin of every value, pictures and a STAC item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from orrery.figures import save
from orrery.raster.cog import write_cog
from orrery.raster.cube import Cube
from orrery.raster.rows import RowStore
from orrery.raster.scene import ITEM
from orrery.systems.item import write_item
from orrery.systems.mars_bands.composites import NAMES, composites_of, stretched
from orrery.systems.mars_bands.filling import ORIGINS, Filled
from orrery.systems.mars_bands.product import write_picture
from orrery.systems.quicklook import panels

Array = NDArray[np.float32]
FILES = ("bands.tif", "origin.tif", "evc.png", "fc.png", "quicklook.png", ITEM)
ORIGIN_COLOURS = ("white", "gray", "tab:orange", "tab:red")


@dataclass(frozen=True)
class Restored:
    """What a restoration made, and what it tells about itself.

    Attributes:
        path: the cube's file.
        observed: the cube as it was.
        filled: the cube as it is now.
        taken: when, in ISO 8601, where the cube's side-car tells.
        sources: input file -> its SHA-256.
        tags: metadata of all rasters.
        properties: further ones of the item.
    """

    path: Path
    observed: Cube
    filled: Filled
    taken: str | None
    sources: Mapping[Path, str]
    tags: Mapping[str, str]
    properties: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bands."""
        return tuple(f"{nm:.2f} nm" for nm in self.observed.wavelengths_nm)


def write_restored(made: Restored, work: Path, out: Path) -> list[str]:
    """Write those of `FILES` that the bands allow into `work / "product"`; return their names, the item last."""
    folder, bands = work / "product", made.filled.values
    composites = composites_of(made.observed.wavelengths_nm.tolist())
    makers: dict[str, Callable[[Path], None]] = {
        "bands.tif": lambda path: _write(made, work, "filled", bands, path),
        "origin.tif": lambda path: _write(made, work, "origin", made.filled.origin, path),
        **{f"{name}.png": _picture_maker(bands[order]) for name, order in composites.items()},
        "quicklook.png": lambda path: _quicklook(made, composites, path),
    }
    names = [name for name in FILES if name in makers or name == ITEM]
    makers[ITEM] = lambda path: _write_item(made, names, path, out)
    for name in names:
        if not (folder / name).exists():
            makers[name](folder / name)
    return names


def _write(made: Restored, work: Path, name: str, values: NDArray[Any], path: Path) -> None:
    """A COG of planes that are held whole."""
    store = RowStore(work, name, made.names, made.observed.grid, str(values.dtype))
    store.write(0, values)
    units = dict.fromkeys(made.names, "I/F") if values.dtype.kind == "f" else {}
    codes = {} if units else {f"origin_{code}": text for code, text in ORIGINS.items()}
    write_cog(store, units, {**made.tags, **codes}, path)
    store.discard()


def _picture_maker(bands: Array) -> Callable[[Path], None]:
    return lambda path: write_picture(stretched(bands), path)


def _quicklook(made: Restored, composites: Mapping[str, list[int]], path: Path) -> None:
    """Observation, restored bands and the origin of a value, for each composite, else for the first band."""
    shown = composites or {made.names[0]: [0, 0, 0]}
    figure, axes = panels(made.observed.grid, 3 * len(shown))
    for number, (name, order) in enumerate(shown.items()):
        title, trio = NAMES.get(name, name), axes[3 * number : 3 * number + 3]
        filled = made.filled.values[order]
        for axis, bands, what in zip(
            trio, (made.observed.values[order], filled), ("observed", "restored"), strict=False
        ):
            axis.imshow(stretched(bands, filled))
            axis.set_title(f"{what}, {title}")
        _origin(trio[2], made.filled.origin[order].max(axis=0))
    for axis in axes:
        axis.set_axis_off()
    grid = made.observed.grid
    figure.suptitle(f"{made.path.name}: {grid.width} x {grid.height} px of {grid.gsd_m:.3g} m")
    save(figure, path)


def _origin(axis: Axes, origin: NDArray[np.uint8]) -> None:
    axis.imshow(origin, cmap=ListedColormap(ORIGIN_COLOURS), vmin=-0.5, vmax=3.5, interpolation="nearest")
    axis.set_title("gray: observed; orange: predicted where\nnothing was; red: in place of a fault")


def _write_item(made: Restored, names: list[str], path: Path, out: Path) -> None:
    properties = {
        "orrery:kind": "mars-bands restoration",
        "orrery:wavelengths_nm": made.observed.wavelengths_nm.tolist(),
        **made.properties,
        **made.tags,
    }
    assets = {Path(name).stem: name for name in names if name != ITEM}
    write_item(
        path, out, assets, made.observed.grid, made.sources, properties,
        image=made.path, taken=made.taken, sun_true_north=None, body="mars",
    )  # fmt: skip
