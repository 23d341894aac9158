"""From a pair of uncompressed images to disparities with and without compression, and a table of how well they fit.

Each pair is brought to a mean count, matched, compressed and matched again; what compression has changed is the residual that
networks learn. Test scenes are compressed in every way that is studied, training scenes in some that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orrery.cluster import each
from orrery.errors import OrreryError
from orrery.instruments.quantisation import QuantisationTable
from orrery.raster.compression import at_mean, compress
from orrery.raster.io import read
from orrery.raster.scene import Scene
from orrery.raster.stereo import Match, filled, match, rectified, refine, span
from orrery.seeds import stream
from orrery.systems.kaguya_disparity.aligned import Planes, write_aligned
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.features import smoothed
from orrery.systems.kaguya_disparity.measured import PairRow, measured, named
from orrery.systems.kaguya_disparity.pair import Pair, read_pair, tables
from orrery.systems.kaguya_disparity.params import AlignParams
from orrery.systems.split import SplitParams, split_of

Array = NDArray[np.float32]

OTHER_WINDOWS_PX = (5, 11)  # for the linear model: noise differs between windows, ground does not
PREFILTER_PX = 1.0
EXTRA_STEPS = 2
LARGEST_PX = 100.0  # of false matches, which are invalid anyway


@dataclass(frozen=True)
class Ready:
    """A pair at one mean count, matched before any compression."""

    left: Array
    right: Array
    factor: float
    found: Match


def align_scenes(
    scenes: Sequence[Scene], out: Path, params: AlignParams, split: SplitParams, seed: int
) -> list[PairRow]:
    """Align all scenes and return their rows in the order of their names.

    Args:
        scenes: raw ones, with the assets `tc1` and `tc2`.
        out: folder that gets one folder a scene.
        params: how.
        split: which scenes are studied under every condition.
        seed: of the conditions that are drawn.

    Raises:
        OrreryError: a scene is broken, was compressed already, or its images do not meet; a table is unknown.
    """
    ordered = sorted(scenes, key=lambda scene: scene.id)
    work = partial(_align, out=out, params=params, split=split, seed=seed)
    return each(work, ordered, "align")


def _align(scene: Scene, out: Path, params: AlignParams, split: SplitParams, seed: int) -> PairRow:
    return align_scene(scene, out, params, conditions_of(scene.id, params, split, seed))


def conditions_of(scene: str, params: AlignParams, split: SplitParams, seed: int) -> list[Condition]:
    """The ways in which a scene is compressed, the standard one first.

    Raises:
        OrreryError: a table is unknown.
    """
    known = tables(params.own_tables)
    missing = [name for name in (params.table, *params.study_tables) if name not in known]
    if missing:
        remedy = f"choose of {', '.join(known)}, or name its file in own_tables"
        raise OrreryError(f"no table {', '.join(missing)}", file="params.yaml", remedy=remedy)
    standard = Condition.of(known[params.table], params.mean_count)
    if split_of(scene, split) in ("train", "validation"):
        drawn = stream(seed, "kaguya-disparity", "conditions", scene)
        names = [params.table, *params.study_tables]
        means = [params.mean_count, *params.study_means]
        further = [
            Condition.of(
                known[names[int(drawn.integers(len(names)))]],
                round(float(np.exp(drawn.uniform(np.log(min(means)), np.log(max(means))))), 1),
            )
            for _ in range(params.training_draws)
        ]
    else:
        further = [Condition.of(known[params.table], mean) for mean in params.study_means]
        further += [Condition.of(known[name], params.mean_count) for name in params.study_tables]
    return list(dict.fromkeys([standard, *further]))


def align_scene(scene: Scene, out: Path, params: AlignParams, conditions: Sequence[Condition]) -> PairRow:
    """Align one scene under its conditions, write it, and return the row of the first of them."""
    pair, known = _uncompressed(scene), tables(params.own_tables)
    truth = scene.asset("disparity")
    true_px = None if truth is None else _read_truth(truth, pair)
    ready: dict[float, Ready] = {}
    row: PairRow | None = None
    found: list[tuple[Condition, Planes]] = []
    for condition in conditions:
        if condition.mean_count not in ready:
            ready[condition.mean_count] = _matched(pair, condition.mean_count, params)
        before, table = ready[condition.mean_count], known[condition.table]
        planes = compressed_planes(before, table, params, None if row else true_px, linear=row is None)
        found.append((condition, planes))
        if row is None:
            row = {**named(scene), **measured(pair, before.left, before.factor, planes, table, params)}
    write_aligned(out / scene.id, scene, found)
    assert row is not None
    return row


def _uncompressed(scene: Scene) -> Pair:
    """The images of a scene.

    Raises:
        OrreryError: they were compressed: what that did to them cannot be known.
    """
    left, right = (_asset(scene, name) for name in ("tc1", "tc2"))
    pair = read_pair(left, right)
    if any(product.compressed for product in pair.products):
        remedy = "train on uncompressed (through) images; apply a model to this pair by orrery predict"
        raise OrreryError("was compressed on board", file=left, remedy=remedy)
    return pair


def _asset(scene: Scene, name: str) -> Path:
    path = scene.asset(name)
    if path is None:
        raise OrreryError(f"lacks the asset {name}", file=scene.folder, remedy="add it to its item.json")
    return path


def _read_truth(path: Path, pair: Pair) -> Array:
    """True disparity on the pair's pixels."""
    first = pair.columns[0]
    return read(path, body=None).values[:, first : first + pair.left.shape[1]]


def _matched(pair: Pair, mean_count: float, params: AlignParams) -> Ready:
    """Both images at a mean count, by one factor, and their disparity."""
    factor = mean_count / pair.mean_count
    left, right = (at_mean(image, factor, params.bits) for image in (pair.left, pair.right))
    middle, reach = span(filled(left), filled(right), pair.middle_px, params.search_margin_px)
    options = params.match.model_copy(update={"search_px": reach})
    return Ready(left, right, factor, match(left, right, options, middle))


def compressed_planes(
    ready: Ready, table: QuantisationTable, params: AlignParams, true_px: Array | None, *, linear: bool
) -> Planes:
    """What compression leaves of a pair, and its disparity; see `aligned.Planes`.

    Args:
        ready: the pair before it.
        table: of the compression.
        params: how to match.
        true_px: true disparity, where it is known.
        linear: also the further disparities that the linear model wants.
    """
    left, right = (_compressed(image, table, params.bits) for image in (ready.left, ready.right))
    middle, reach = span(filled(left), filled(right), _middle(ready.found), params.search_margin_px)
    options = params.match.model_copy(update={"search_px": reach})
    found = match(left, right, options, middle)
    left, right = filled(left), filled(right)
    residual = ready.found.disparity_px - found.disparity_px
    both = ready.found.valid & found.valid
    planes: dict[str, Array] = {
        "left": left,
        "right": rectified(right, found.disparity_px),
        "disparity": found.disparity_px,
        "residual": np.clip(residual, -LARGEST_PX, LARGEST_PX),
        "valid": (both & (np.abs(residual) <= params.max_residual_px)).astype(np.float32),
        "matched": both.astype(np.float32),
    }
    if true_px is not None:
        planes["true"] = true_px
    if linear:
        planes |= dict(_further(left, right, found.disparity_px, params))
    return planes


def _middle(found: Match) -> int:
    return round(float(np.median(found.disparity_px[found.valid]))) if found.valid.any() else 0


def _compressed(image: Array, table: QuantisationTable, bits: int) -> Array:
    """A compressed image; pixels without a count stay without."""
    seen = np.isfinite(image)
    out = compress(filled(image), table, bits)
    return out if seen.all() else np.where(seen, out, np.float32(np.nan))


def _further(left: Array, right: Array, start_px: Array, params: AlignParams) -> Iterator[tuple[str, Array]]:
    """Disparities of other windows and of smoothed images, less the one that is corrected."""
    for window in OTHER_WINDOWS_PX:
        yield f"window-{window}", refine(left, right, start_px, window, EXTRA_STEPS) - start_px
    soft = [smoothed(image, PREFILTER_PX) for image in (left, right)]
    yield "prefiltered", refine(soft[0], soft[1], start_px, params.match.window_px, EXTRA_STEPS) - start_px
