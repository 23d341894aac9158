"""Compression against libjpeg with 12 bits, on the same image in the same run: error, bits a pixel and speed.

The peer is libjpeg-turbo by way of imagecodecs (``pip install "imagecodecs>=2026.3"`` into the environment that runs this);
without it the peer's columns are empty. It knows no table but the standard's at a quality, so both use that: `annex_k`, which at
quality 92 is SF008S.A but for two of 64 steps. The table it really wrote is read from its file, and has to be ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.instruments.quantisation import BLOCK, annex_k
from orrery.raster.compression import compress, entropy_bits_per_px
from orrery.seeds import stream

Array = NDArray[np.float32]
BITS, SIDE_PX, REPEATS = 12, 2048, 5
PAPER_QUALITY = 92
# With steps of 1 and 2 (quality 98) libjpeg's own integer arithmetic adds about a hundredth to its error: no goal there.
QUALITIES = (50, 75, PAPER_QUALITY, 98)
BRIGHTNESS = {"dark": (200, 30), "bright": (1500, 300)}  # mean and SD, counts
PEER = "libjpeg, 12 bits"
TABLES_MARKER, ZIGZAG_FROM = b"\xff\xdb", 5


def rows() -> list[Row]:
    peer = _peer()
    images = {name: texture(*levels) for name, levels in BRIGHTNESS.items()}
    errors = [
        row
        for name, image in images.items()
        for quality in QUALITIES
        for row in error_rows(name, image, quality, peer)
    ]
    return [*errors, speed_row(images["dark"], peer)]


def error_rows(name: str, image: Array, quality: int, peer: Any) -> list[Row]:
    """SD of what compression changed, and bits a pixel, ours beside the peer's."""
    table = annex_k(quality)
    conditions = (
        f"{SIDE_PX} x {SIDE_PX} px of blurred noise, {name}: mean {image.mean():.0f}, SD {image.std():.0f} "
        f"of {2**BITS - 1} counts"
    )
    error, needed = (
        float((compress(image, table, BITS) - image).std()),
        entropy_bits_per_px(image, table, BITS),
    )
    theirs, their_bits = None, None
    if peer:
        packed = encode(peer, image, quality)
        check_table(packed, quality)
        decoded = decode(peer, packed)
        theirs, their_bits = float((decoded - image).std()), 8 * len(packed) / image.size
        same = float((decoded == compress(image, table, BITS)).mean())
        conditions += f"; {100 * same:.1f} % of pixels equal"
    what = f"quality {quality}, {name}"
    return [
        Row(f"compression error, {what}", error, "count", conditions, PEER, theirs),
        *([within_row(what, error, theirs, conditions)] if theirs and quality == PAPER_QUALITY else []),
        Row(f"entropy, {what}", needed, "bit/px", conditions, f"file of {PEER}", their_bits),
    ]


def within_row(what: str, ours: float, theirs: float, conditions: str) -> Row:
    """How far the errors are apart, as a share."""
    return Row(
        f"compression errors apart, {what}", abs(ours / theirs - 1), "", conditions, goal="figure <= 0.01"
    )


def speed_row(image: Array, peer: Any) -> Row:
    """Pixels a second there and back, on one core; libjpeg packs and unpacks its bits besides."""
    ours = megapixels_per_s(lambda: compress(image, annex_k(PAPER_QUALITY), BITS), image.size)
    theirs = None
    if peer:
        theirs = megapixels_per_s(lambda: decode(peer, encode(peer, image, PAPER_QUALITY)), image.size)
    conditions = f"{SIDE_PX} x {SIDE_PX} px, quality {PAPER_QUALITY}, processor time, best of {REPEATS}; the peer packs bits besides"
    return Row("compression, speed", ours, "Mpx/s", conditions, PEER, theirs, "figure >= 20")


def texture(mean: float, deviation: float) -> Array:
    """Whole counts of a noise blurred by 1.5 px."""
    noise = ndimage.gaussian_filter(stream(0, "texture").normal(size=(SIDE_PX, SIDE_PX)), 1.5)
    return np.asarray(np.rint(mean + deviation * noise / noise.std()).clip(0, 2**BITS - 1), np.float32)


def encode(peer: Any, image: Array, quality: int) -> bytes:
    """A JPEG file of 12 bits."""
    packed: bytes = peer.jpeg8_encode(image.astype(np.uint16), level=quality, bitspersample=BITS)
    return packed


def decode(peer: Any, packed: bytes) -> Array:
    """Its pixels."""
    return np.asarray(peer.jpeg8_decode(packed), np.float32)


def check_table(packed: bytes, quality: int) -> None:
    """Refuse a peer that wrote another table than ours.

    Raises:
        OrreryError: the errors would not be comparable.
    """
    start = packed.index(TABLES_MARKER) + ZIGZAG_FROM
    wide = packed[start - 1] >> 4  # whether steps have 16 bits
    written = np.frombuffer(packed, ">u2" if wide else np.uint8, BLOCK**2, start)
    if written.tolist() != zigzag(annex_k(quality).array):
        problem = f"libjpeg's table at quality {quality} is not the standard's, scaled"
        raise OrreryError(problem, remedy="compare with another release of imagecodecs")


def zigzag(steps: Array) -> list[int]:
    """64 steps in the order of a JPEG file: along anti-diagonals, the first one rightwards (T.81, figure A.6)."""
    places = [(u, v) for u in range(BLOCK) for v in range(BLOCK)]
    places.sort(key=lambda place: (sum(place), place[1 - sum(place) % 2]))
    return [int(steps[place]) for place in places]


def megapixels_per_s(work: Callable[[], object], pixels: int) -> float:
    """The best of some tries."""
    work()
    best = np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return pixels / best / 1e6


def _peer() -> Any:
    """Imagecodecs, or None."""
    return importlib.import_module("imagecodecs") if importlib.util.find_spec("imagecodecs") else None
