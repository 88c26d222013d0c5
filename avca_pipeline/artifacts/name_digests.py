"""Arrays that stand for names: 16 bytes of the SHA-256 of each, where all names would not fit.

Two names have one digest less often than once in 10^24 tables of 10 million names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

NUM_BYTES = 16


class NameDigests:
    """Digests of names, in the order in which the names are added."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, name: str) -> None:
        """Adds one name."""
        self._bytes += digest(name)

    def array(self) -> np.ndarray:
        """Returns ``(names,)`` of type ``S16``, in the memory of this object."""
        return np.frombuffer(self._bytes, f"S{NUM_BYTES}")


def digest(name: str) -> bytes:
    """Returns the digest of one name."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:NUM_BYTES]


def digests(names: Iterable[str]) -> np.ndarray:
    """Returns the digests of names, ``(names,)`` of type ``S16``."""
    found = NameDigests()
    for name in names:
        found.add(name)
    return found.array()


def find(among: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns where digests stand among others: ``(wanted,)`` int32, -1 where they do not.

    Args:
        among: ``(names,)`` digests; of equal ones, any may be found.
        wanted: digests to look for.
    """
    if not len(among):
        return np.full(len(wanted), -1, np.int32)
    order = np.argsort(among).astype(np.int32)
    ordered = among[order]
    # To look for digests in their order reads memory in its order.
    asked = np.argsort(wanted).astype(np.int32)
    sorted_wanted = wanted[asked]
    place = np.searchsorted(ordered, sorted_wanted).astype(np.int32)
    np.minimum(place, len(among) - 1, out=place)
    is_there = ordered[place] == sorted_wanted
    found = np.empty(len(wanted), np.int32)
    found[asked] = np.where(is_there, order[place], np.int32(-1))
    return found
