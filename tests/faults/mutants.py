"""Files damaged as disks, transfers and people damage them; each mutant can be made again from its name and seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from orrery.seeds import stream

HEAD_BYTES = 4096  # labels and directories, where damage does most
BLOCK_BYTES = 512
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# What stands where a number was: at the limits, beyond them, or none at all.
NUMBERS = (b"0", b"-1", b"1", b"2147483648", b"9" * 40, b"1e300", b"1e999", b"-0.0", b"NaN", b"Infinity", b"null", b'"x"',
           b"[]", b"{}", b"true", b"", b"\xff")  # fmt: skip
Rng = np.random.Generator
Change = Callable[[bytes, Rng], bytes]


@dataclass(frozen=True)
class Mutant:
    """What became of a file.

    Attributes:
        name: kind of the damage, and its number.
        content: of the file; None: a folder stands in its place.
    """

    name: str
    content: bytes | None


def _truncated(content: bytes, rng: Rng) -> bytes:
    """Cut in the head, at a block, just before the end, or anywhere."""
    size = len(content)
    places = [
        rng.integers(min(size, HEAD_BYTES)),
        rng.integers(size // BLOCK_BYTES + 1) * BLOCK_BYTES,
        size - rng.integers(1, min(size, 9)) if size > 1 else 0,
        rng.integers(size),
    ]
    return content[: int(rng.choice(places))]


def _flipped(content: bytes, rng: Rng) -> bytes:
    """Up to eight bits, most of them in the head."""
    damaged = bytearray(content)
    reach = min(len(content), HEAD_BYTES) if rng.random() < 0.7 else len(content)
    for place in rng.integers(reach, size=rng.integers(1, 9)):
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _replaced(content: bytes, rng: Rng) -> bytes:
    """Up to eight bytes, with what parsers stumble over."""
    damaged = bytearray(content)
    reach = min(len(content), HEAD_BYTES) if rng.random() < 0.7 else len(content)
    for place in rng.integers(reach, size=rng.integers(1, 9)):
        damaged[place] = rng.choice([0, 255, *b"\"'{}[]()<>=:,;\n 09-", rng.integers(256)])
    return bytes(damaged)


def _zeroed(content: bytes, rng: Rng) -> bytes:
    first, last = _span(content, rng)
    return content[:first] + bytes(last - first) + content[last:]


def _doubled(content: bytes, rng: Rng) -> bytes:
    first, last = _span(content, rng)
    return content[:last] + content[first:]


def _lost(content: bytes, rng: Rng) -> bytes:
    first, last = _span(content, rng)
    return content[:first] + content[last:]


def _span(content: bytes, rng: Rng) -> tuple[int, int]:
    """Of a block."""
    first = int(rng.integers(len(content)))
    return first, min(len(content), first + int(rng.integers(1, BLOCK_BYTES + 1)))


def _numbered(content: bytes, rng: Rng) -> bytes:
    """Another number in the text, or what is none."""
    found = list(NUMBER.finditer(content[: 64 * HEAD_BYTES]))
    if not found:
        return _replaced(content, rng)
    match = found[int(rng.integers(len(found)))]
    return content[: match.start()] + NUMBERS[int(rng.integers(len(NUMBERS)))] + content[match.end() :]


def _unlined(content: bytes, rng: Rng) -> bytes:
    """Without one line."""
    lines = content.splitlines(keepends=True)
    del lines[int(rng.integers(len(lines)))]
    return b"".join(lines)


def _shuffled(content: bytes, rng: Rng) -> bytes:
    """Two lines change places."""
    lines = content.splitlines(keepends=True)
    one, other = (int(place) for place in rng.integers(len(lines), size=2))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _recoded(content: bytes, rng: Rng) -> bytes:
    """In another encoding, or with a byte order mark, or with letters of one."""
    text = content.decode("latin-1")
    choices = (
        text.encode("utf-16"),
        b"\xef\xbb\xbf" + content,
        _inserted(content, "é".encode("latin-1"), rng),
        _inserted(content, b"\0", rng),
    )
    return choices[int(rng.integers(len(choices)))]


def _inserted(content: bytes, part: bytes, rng: Rng) -> bytes:
    place = int(rng.integers(len(content)))
    return content[:place] + part + content[place:]


BINARY: Mapping[str, Change] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "replaced": _replaced,
    "zeroed": _zeroed,
    "doubled": _doubled,
    "lost": _lost,
    "numbered": _numbered,
}
TEXT: Mapping[str, Change] = {**BINARY, "unlined": _unlined, "shuffled": _shuffled, "recoded": _recoded}


def mutants(content: bytes, others: Mapping[str, bytes], seed_name: str, count: int) -> Iterator[Mutant]:
    """The fixed ones first, then `count` drawn ones, each kind as often as the others.

    Args:
        content: of the undamaged file.
        others: files of other kinds that may come under its name.
        seed_name: of the draws.
        count: of the drawn ones.
    """
    yield Mutant("empty", b"")
    yield Mutant("folder", None)
    for name, other in others.items():
        if other != content:
            yield Mutant(f"swapped for {name}", other)
    changes = TEXT if _is_text(content) else BINARY
    for number in range(count):
        kind = list(changes)[number % len(changes)]
        rng = stream(1, "mutants", seed_name, number)
        yield Mutant(f"{kind} {number}", changes[kind](content, rng))


def _is_text(content: bytes) -> bool:
    return b"\0" not in content[:HEAD_BYTES]
