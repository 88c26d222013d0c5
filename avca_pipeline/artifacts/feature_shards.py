"""All shards of a backbone as one table, whose features and windows stay in the files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import feature_windows, features
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import NOTES, TIMES, Features
from avca_pipeline.artifacts.packed_texts import PackedTexts
from avca_pipeline.artifacts.stored_features import StoredFeatures
from avca_pipeline.errors import FormatError

BLOCK_BYTES = 64 << 20
"""How much of the features is in memory at once; each block opens each shard that is in it."""
KINDS = {"num_windows": np.int64, "is_padded": np.bool_, **dict.fromkeys(NOTES, np.float64)}
"""The columns of numbers that a file has for its clips."""
TEXT: Any = np.dtypes.StringDType()
"""Its arrays sort texts in the order of code points, as Python does. NumPy 2.4 must not be asked
where texts of one array stand in another (``searchsorted``): it is wrong about long ones."""


@dataclass(frozen=True)
class ShardRows:
    """The features of several shards in one order, which are read when they are asked for.

    Attributes:
        paths: of the shards.
        tables: the features of each, ``(clips of the shard, dim)``, in its file or in memory.
        order: ``(clips,)``, which row of all tables below each other is the first, the second, ...
    """

    paths: Sequence[Path]
    tables: Sequence[StoredFeatures | np.ndarray]
    order: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of numbers of a row."""
        return len(self.order), self.tables[0].shape[1] if self.tables else 0

    def __len__(self) -> int:
        return len(self.order)

    def places(self) -> list[np.ndarray]:
        """Returns for each shard where its rows are in the order, ``(clips of the shard,)``."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        begins = self._begins()
        return [place[begin:end] for begin, end in itertools.pairwise(begins)]

    def blocks(self) -> Iterator[np.ndarray]:
        """Reads the rows in their order, ``(some rows, dim)`` float32 at a time.

        Raises:
            FormatError: a file cannot be read.
        """
        size = max(1, BLOCK_BYTES // (4 * max(1, self.shape[1])))
        begins = self._begins()
        for first in range(0, len(self.order), size):
            wanted = self.order[first : first + size]
            values = np.empty((len(wanted), self.shape[1]), np.float32)
            by_table = np.argsort(wanted)
            cuts = np.searchsorted(wanted[by_table], begins)
            for number, (start, end) in enumerate(itertools.pairwise(cuts)):
                if start < end:
                    rows = by_table[start:end]
                    found = self.tables[number][wanted[rows] - begins[number]]
                    values[rows] = found.read() if isinstance(found, StoredFeatures) else found
            yield values

    def _begins(self) -> np.ndarray:
        return np.cumsum([0, *(len(table) for table in self.tables)])

    def windows(self) -> Iterator[tuple[int, FeatureWindows]]:
        """Reads the windows of each clip, and says at which place of the order the clip is."""
        for path, places in zip(self.paths, self.places(), strict=True):
            yield from feature_windows.of_file(path, places)


def read(paths: Sequence[Path]) -> Features:
    """Reads all shards of one backbone as one table, in the order of the clip ids.

    The features are `ShardRows`; they and the windows stay in the shards, from where `write` copies
    them.

    Raises:
        FormatError: as `features.read`; or the shards do not belong together (another dimension,
            weights or preprocessing), or a clip stands in two of them.
    """
    columns = _Columns()
    shards = [columns.take(features.read(path, most_bytes=0)) for path in paths]
    _check_making(paths, shards)
    filled = [number for number, shard in enumerate(shards) if len(shard.features)]
    tables: list[Any] = [shards[number].features for number in filled]
    if len({table.shape[1] for table in tables}) > 1:
        raise FormatError(f"{paths[0]}: its dimension differs from that of other shards beside it")
    clip_ids, order = columns.sorted_ids()
    if (clip_ids[1:] == clip_ids[:-1]).any():
        raise FormatError(
            f"{paths[0].parent}: a clip stands in two shards; delete them and extract again"
        )
    rows: Any = ShardRows([paths[number] for number in filled], tables, order)
    return Features(
        clip_ids=clip_ids,
        features=rows,
        rejected=_rejected(shards),
        attributes=dict(shards[0].attributes) if shards else {},
        window_s=shards[0].window_s if shards else math.nan,
        hop_s=shards[0].hop_s if shards else math.nan,
        has_windows=bool(shards) and shards[0].has_windows,
        **columns.in_order(order),
    )


def write(path: Path, value: Features) -> None:
    """Writes what `read` returns, with the windows if they were kept.

    Raises:
        FormatError: a shard cannot be read, or has windows that are not finite.
    """
    rows: Any = value.features
    features.write(path, value, rows.windows())


class _Columns:
    """What files say of each clip besides its features, each column in one piece of memory."""

    def __init__(self) -> None:
        self._ids: list[Any] = [np.array([], TEXT)]
        self._numbers = {name: bytearray() for name in KINDS}
        self._media = PackedTexts()

    def take(self, shard: Features) -> Features:
        """Puts the clips of a shard behind those that are there; returns the shard without them."""
        given = {name: getattr(shard, name) for name in ("num_windows", "is_padded")}
        for name, kind in KINDS.items():
            column = {**given, **shard.notes}.get(name, np.zeros(len(shard.clip_ids)))
            self._numbers[name] += column.astype(kind).tobytes()
        self._ids.append(np.array(shard.clip_ids, TEXT))
        self._media.extend(shard.media)
        nothing = np.zeros(0)
        return replace(
            shard, clip_ids=(), num_windows=nothing, is_padded=nothing, notes={}, media=()
        )

    def sorted_ids(self) -> tuple[Any, np.ndarray]:
        """Returns all ids in their order, and which clip each is of."""
        clip_ids = np.concatenate(self._ids)
        self._ids.clear()
        order = np.argsort(clip_ids)
        return clip_ids[order], order

    def in_order(self, order: np.ndarray) -> dict[str, Any]:
        """Returns the other columns, by their names in `Features`; none of them is kept here."""
        numbers = {
            name: np.frombuffer(self._numbers.pop(name), kind)[order]
            for name, kind in KINDS.items()
        }
        notes = {name: numbers.pop(name) for name in NOTES}
        is_known = len(self._media) == len(order)
        return {**numbers, "notes": notes, "media": self._media.in_order(order) if is_known else ()}


def _rejected(shards: Sequence[Features]) -> dict[str, str]:
    known: dict[str, str] = {}  # Each reason once, however many clips have it.
    return {
        clip: known.setdefault(reason, reason)
        for shard in shards
        for clip, reason in sorted(shard.rejected.items())
    }


def _check_making(paths: Sequence[Path], shards: Sequence[Features]) -> None:
    """Raises `FormatError` unless all shards say the same of how they were made."""
    for path, shard in zip(paths, shards, strict=True):
        stated, first_stated = _stated(shard), _stated(shards[0])
        for name, text in stated.items():
            if text != first_stated[name]:
                raise FormatError(
                    f"{path}: {name} is {text!r} but {first_stated[name]!r} in {paths[0]}; "
                    "delete the older one and extract again"
                )


def _stated(value: Features) -> dict[str, str | None]:
    """Returns what must be the same in all shards of a backbone."""
    stated = {name: value.attributes.get(name) for name in ("backbone", "weights", "preprocessing")}
    times = {name: f"{getattr(value, name):g}" for name in TIMES}
    return {**stated, **times, "has_windows": str(value.has_windows)}
