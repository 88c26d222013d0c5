"""The published lists: which class and which clip is in which partition.

A benchmark's folder ``class-split`` holds ``all_class.txt`` and, in ``main_split`` and
``cls_split``, a TXT of classes and a CSV of clips for each part of the protocol. What has to be
known about them:

- TXT and CSV disagree: ``cls_split`` drops classes from the TXT that the CSV still has clips of.
  The published evaluation takes its classes from the TXT, and so does this.
- The columns of the CSVs differ from benchmark to benchmark and are found by their header.
- One class is spelled with different capitals in different files.
- ``stage_2_train`` repeats the three lists of stage 1. It is checked and never stored.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline.artifacts.split import TEST_SEEN, TEST_UNSEEN, TRAIN, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.published.checksums import known_checksums
from avca_pipeline.published.class_names import class_key

DATASETS = "avgzsl_benchmark_datasets"
ALL_CLASSES = "all_class.txt"
FOLDERS = {"main": "main_split", "cls": "cls_split"}

STAGES = {
    TRAIN: "stage_1_train",
    VAL_SEEN: "stage_1_val_seen",
    VAL_UNSEEN: "stage_1_val_unseen",
    TEST_SEEN: "stage_2_test_seen",
    TEST_UNSEEN: "stage_2_test_unseen",
}
"""The published name of each partition."""

STAGE_2_TRAIN = "stage_2_train"

SOURCES = {
    "UCF": re.compile(r"(v_.+_g\d+)_c\d+"),
    "ActivityNet": re.compile(r"(.+)_\d+"),
    "VGGSound": re.compile(r"(.+)_\d{6}"),
}
"""What of a published file name is the recording: class and group, or YouTube id."""


@dataclass(frozen=True)
class PublishedClip:
    """One line of a CSV: the clip, its class as ``all_class.txt`` spells it, and its recording."""

    clip_id: str
    class_name: str
    source_id: str


@dataclass(frozen=True)
class Lists:
    """What a benchmark's lists say.

    Attributes:
        partitions: partition to its clips.
        dropped: clip id to reason, for clips in a CSV whose class is not in the TXT beside it.
    """

    partitions: dict[str, list[PublishedClip]]
    dropped: dict[str, str] = field(default_factory=dict)


def class_split(path: Path, benchmark: str) -> Path:
    """Returns the folder of a benchmark's lists.

    Raises:
        PipelineError: it is not there.
    """
    folder = path / DATASETS / benchmark / "class-split"
    if not (folder / ALL_CLASSES).is_file():
        raise PipelineError(
            f"{folder}: no {ALL_CLASSES} in it; path must be the folder that {DATASETS} is in, "
            "and benchmark the name of a folder in that"
        )
    return folder


def how_to_get(path: Path, benchmark: str) -> str:
    """Returns a command that gets a benchmark's lists and label embeddings, unless they are there.

    Args:
        path: the folder that `DATASETS` is in, or will be.
        benchmark: a name of a benchmark; there is no command for one that is not published.
    """
    is_there = (path / DATASETS / benchmark / "class-split" / ALL_CLASSES).is_file()
    if is_there or benchmark not in known_checksums():
        return ""
    return f"avca lists --benchmark {benchmark} --out {shlex.quote(str(path))}"


def files(path: Path, benchmark: str, which: str) -> list[Path]:
    """Returns the files that `read` reads.

    Raises:
        PipelineError: a list is missing.
    """
    top = class_split(path, benchmark)
    folder = top / FOLDERS[which]
    needed = [folder / f"{stage}.txt" for stage in STAGES.values()]
    needed += [folder / f"{stage}.csv" for name, stage in STAGES.items() if name != TRAIN]
    # The list of stage 1 follows from that of stage 2, so that either of them will do.
    stage_1, stage_2 = (folder / f"{stage}.csv" for stage in (STAGES[TRAIN], STAGE_2_TRAIN))
    training = [file for file in (stage_1, stage_2) if file.is_file()]
    for file in [*needed, *(training or [stage_1])]:
        if not file.is_file():
            raise PipelineError(f"{file}: no such file; the published lists are not complete")
    return [top / ALL_CLASSES, *needed, *training]


def read(path: Path, benchmark: str, which: str) -> Lists:
    """Reads the lists of one kind.

    Args:
        path: the folder that ``avgzsl_benchmark_datasets`` is in.
        benchmark: ``UCF``, ``ActivityNet``, ``VGGSound``, or one exported by this package.
        which: ``main`` or ``cls``.

    Raises:
        PipelineError: a list is missing or malformed, knows a class that ``all_class.txt`` does
            not, or has a clip twice; or what stage 2 trains on is not the union of the rest.
    """
    names = class_names(path, benchmark)
    folder = files(path, benchmark, which)[1].parent
    stage_2 = folder / f"{STAGE_2_TRAIN}.csv"
    training = read_clips(stage_2, benchmark, names) if stage_2.is_file() else None
    csv_of = {partition: folder / f"{stage}.csv" for partition, stage in STAGES.items()}
    listed = {
        partition: read_clips(file, benchmark, names)
        for partition, file in csv_of.items()
        if file.is_file()
    }
    validation = {clip.clip_id for name in (VAL_SEEN, VAL_UNSEEN) for clip in listed[name]}
    if training is not None and TRAIN not in listed:
        listed[TRAIN] = [clip for clip in training if clip.clip_id not in validation]
    _check_once(folder, listed)
    if training is not None:
        union = {clip.clip_id for clip in listed[TRAIN]} | validation
        differing = sorted(union ^ {clip.clip_id for clip in training})
        if differing:
            raise FormatError(
                f"{stage_2}: is not the union of the lists of stage 1; they differ in "
                f"{len(differing)} clip(s), such as {differing[0]!r}"
            )
    return _filtered(folder, listed, names)


def class_names(path: Path, benchmark: str) -> dict[str, str]:
    """Returns all classes of a benchmark as ``all_class.txt`` spells them, by `class_key`."""
    file = class_split(path, benchmark) / ALL_CLASSES
    names: dict[str, str] = {}
    for name in _read_lines(file):
        if class_key(name) in names:
            raise FormatError(f"{file}: class {name!r} occurs twice")
        names[class_key(name)] = name
    return names


def read_clips(file: Path, benchmark: str, names: dict[str, str]) -> list[PublishedClip]:
    """Reads one CSV of clips, whatever the order of its columns.

    Args:
        file: the CSV.
        benchmark: tells how recordings are read off file names where no column names them.
        names: what `class_names` returned.

    Raises:
        FormatError: a column is missing, a class is unknown, or a clip occurs twice.
    """
    clips: dict[str, PublishedClip] = {}
    for line, row in enumerate(read_csv(file, ("filename", "label")), start=2):
        clip_id, label = row["filename"], row["label"]
        name = names.get(class_key(label))
        if name is None:
            raise FormatError(f"{file}: line {line}: class {label!r} is not in {ALL_CLASSES}")
        if clip_id in clips:
            raise FormatError(f"{file}: line {line}: clip {clip_id!r} is listed twice")
        source_id = row.get("source_id") or _source(file, line, benchmark, clip_id)
        clips[clip_id] = PublishedClip(clip_id, name, source_id)
    return list(clips.values())


def _source(file: Path, line: int, benchmark: str, clip_id: str) -> str:
    if benchmark not in SOURCES:
        raise FormatError(
            f"{file}: the recordings of {benchmark} cannot be told from its file names; "
            "add a column source_id"
        )
    match = SOURCES[benchmark].fullmatch(clip_id)
    if match is None:
        raise FormatError(f"{file}: line {line}: {clip_id!r} is no file name of {benchmark}")
    return match.group(1)


def _check_once(folder: Path, listed: dict[str, list[PublishedClip]]) -> None:
    stage_of: dict[str, str] = {}
    for partition, clips in listed.items():
        for clip in clips:
            other = stage_of.setdefault(clip.clip_id, STAGES[partition])
            if other != STAGES[partition]:
                raise FormatError(
                    f"{folder}: clip {clip.clip_id!r} is in {other}.csv and in "
                    f"{STAGES[partition]}.csv"
                )


def _filtered(folder: Path, listed: dict[str, list[PublishedClip]], names: dict[str, str]) -> Lists:
    """Leaves out the clips whose class the TXT does not have."""
    partitions: dict[str, list[PublishedClip]] = {}
    dropped: dict[str, str] = {}
    for partition, stage in STAGES.items():
        file = folder / f"{stage}.txt"
        admitted = set()
        for name in _read_lines(file):
            if class_key(name) not in names:
                raise FormatError(f"{file}: class {name!r} is not in {ALL_CLASSES}")
            admitted.add(names[class_key(name)])
        partitions[partition] = [clip for clip in listed[partition] if clip.class_name in admitted]
        for clip in listed[partition]:
            if clip.class_name not in admitted:
                dropped[clip.clip_id] = f"its class is not in {folder.name}/{file.name}"
    return Lists(partitions, dropped)


def _read_lines(file: Path) -> Iterable[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: cannot be read as UTF-8 text ({error})") from error
    return [line.strip() for line in re.split(r"\r?\n|\r", text) if line.strip()]


def read_names(path: Path) -> list[tuple[str, str]]:
    """Returns the original and the manual name of each class.

    Raises:
        FormatError: not such a CSV, or a name stands in it twice.
    """
    rows = [(row["original"], row["manual"]) for row in read_csv(path, ("original", "manual"))]
    if not rows or not all(name for row in rows for name in row):
        raise FormatError(f"{path}: needs an original and a manual name in every row")
    for spelling, column in zip(("original", "manual"), zip(*rows, strict=True), strict=True):
        for name, count in Counter(map(class_key, column)).items():
            if count > 1:
                raise FormatError(f"{path}: {spelling} name {name!r} stands there {count} times")
    return rows
