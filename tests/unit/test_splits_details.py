"""Splits at their edges, and published lists with something of everything in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage.pretraining import pretrained_on
from avca_pipeline.published import lists
from avca_pipeline.splits import official, official_grouped
from avca_pipeline.splits.built import Settings, SourceShares, arrange, build
from tests.numbers.sources import clips_of, number, partitions, sources_at

FILES = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
# Class to the partitions of its listed clips; each clip is of a source of its own but two.
LISTED = {
    "trained": ["train"] * 5 + ["val_seen"] * 2 + ["test_seen"] * 2,
    "tuned on": ["val_unseen"] * 4 + ["test_seen"] * 2,
    "never": ["test_unseen"] * 3,
    "late": ["test_seen"] * 2,
    "dropped": ["test_unseen"] * 2,
}


def listed() -> list[SplitClip]:
    """Returns the listed clips; the first two of a class are of one recording."""
    return [
        SplitClip(f"{name} {index}", name, f"source of {name} {max(index, 1)}", partition)
        for name, partitions in LISTED.items()
        for index, partition in enumerate(partitions)
    ]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Lists of benchmark ``Mine``; the ``cls`` ones do not admit the class ``dropped``."""
    folder = tmp_path / "avgzsl_benchmark_datasets/Mine/class-split"
    for which in ("main", "cls"):
        (folder / f"{which}_split").mkdir(parents=True)
        for partition, stage in FILES.items():
            clips = [clip for clip in listed() if clip.partition == partition]
            names = {clip.class_name for clip in clips} - ({"dropped"} if which == "cls" else set())
            rows = [f"{clip.clip_id},{clip.class_name},{clip.source_id}" for clip in clips]
            text = "\n".join(["filename,label,source_id", *rows])
            (folder / f"{which}_split/{stage}.csv").write_text(text)
            (folder / f"{which}_split/{stage}.txt").write_text("\n".join(names))
    (folder / "all_class.txt").write_text("\n".join(LISTED))
    return tmp_path


def in_manifest(clips: list[SplitClip]) -> list[Clip]:
    """Returns clips as a dataset has them: other spellings, and sources of its own."""
    return [Clip(c.clip_id, f"our {c.source_id}", c.class_name.upper(), "file") for c in clips]


def test_published_clips_keep_their_own_class_and_source(published: Path) -> None:
    settings = official.Settings(path=published, benchmark="Mine")
    clips = in_manifest(listed())
    built = official.build(settings, list(reversed(clips)))
    expected = [
        SplitClip(ours.clip_id, ours.class_name, ours.source_id, theirs.partition)
        for ours, theirs in zip(clips, listed(), strict=True)
    ]
    assert built.clips == sorted(expected, key=lambda row: row.clip_id)
    assert (built.excluded, list(built.listed_but_missing)) == ({}, [])


def test_every_absent_clip_is_named_and_the_others_stay(published: Path) -> None:
    settings = official.Settings(path=published, benchmark="Mine", lists="cls")
    gone = {"trained 0", "tuned on 2", "never 1", "dropped 0"}
    clips = in_manifest([clip for clip in listed() if clip.clip_id not in gone])
    built = official.build(settings, [*clips, Clip("stranger", "s", "z", "file")])
    assert built.listed_but_missing == ["never 1", "trained 0", "tuned on 2"]
    assert built.excluded == {
        "stranger": "not in the published lists",
        "dropped 1": "its class is not in cls_split/stage_2_test_unseen.txt",
    }
    expected = {c.clip_id for c in listed()} - gone - {"dropped 1"}
    assert {row.clip_id for row in built.clips} == expected


@pytest.mark.parametrize("plugin", [official, official_grouped])
@pytest.mark.parametrize("which", ["main", "cls"])
def test_the_split_reads_its_lists_and_no_others(published: Path, plugin, which: str) -> None:  # type: ignore[no-untyped-def]
    settings = plugin.Settings(path=published, benchmark="Mine", lists=which)
    found = {path.relative_to(published) for path in plugin.inputs(settings)}
    folder = Path("avgzsl_benchmark_datasets/Mine/class-split")
    stages = [f"{which}_split/{stage}{end}" for stage in FILES.values() for end in (".txt", ".csv")]
    assert found == {folder / name for name in ["all_class.txt", *stages]}


@pytest.mark.parametrize("seed", [0, 4])
def test_grouped_keeps_published_classes_and_deals_recordings_anew(
    published: Path, seed: int
) -> None:
    settings = official_grouped.Settings(
        path=published, benchmark="Mine", lists="cls", seed=seed,
        val_seen_sources=0.2, test_seen_sources=0.3,
    )  # fmt: skip
    gone = "never 2"
    clips = in_manifest([clip for clip in listed() if clip.clip_id != gone])
    # A recording of the manifest may have clips of an unseen class, too; the lists have no such.
    shared = next(clip for clip in clips if clip.clip_id == "trained 3")
    never = clips.index(next(clip for clip in clips if clip.clip_id == "never 1"))
    clips[never] = Clip("never 1", shared.source_id, "NEVER", "file")
    built = official_grouped.build(settings, [*clips, Clip("stranger", "s", "z", "file")])
    assert built.listed_but_missing == [gone]
    assert built.excluded == {
        "stranger": "not in the published lists",
        "late 0": "its class has no clips but test_seen ones",
        "late 1": "its class has no clips but test_seen ones",
        "dropped 0": "its class is not in cls_split/stage_2_test_unseen.txt",
        "dropped 1": "its class is not in cls_split/stage_2_test_unseen.txt",
        "trained 3": "its source also has clips of a test_unseen class",
    }
    groups = {"TRAINED": "train", "TUNED ON": "val_unseen", "NEVER": "test_unseen"}
    members = [clip for clip in clips if clip.class_name in groups]
    dealt = arrange(
        members, groups, SourceShares(seed=seed, val_seen_sources=0.2, test_seen_sources=0.3)
    )
    assert built.clips == dealt.clips
    assert partitions(built)["our source of trained 1"] in ("train", "val_seen", "test_seen")


def test_a_source_exactly_at_a_share_is_above_it() -> None:
    sources = [f"source {index}" for index in range(12)]
    position = {source: number(0, "source", source) for source in sources}
    ranked = sorted(sources, key=lambda source: position[source])
    shares = SourceShares(test_seen_sources=position[ranked[2]], val_seen_sources=0.5)
    found = partitions(arrange(clips_of({"only": sources}), {"only": "train"}, shares))
    assert [found[source] for source in ranked[:3]] == ["test_seen", "test_seen", "val_seen"]


def test_as_many_classes_as_must_be_unseen_are_enough() -> None:
    sources = {f"class {label}": [f"{label}-{n}" for n in range(6)] for label in range(10)}
    chosen = Settings(val_unseen_classes=0.2, test_unseen_classes=0.2)
    known = [f"class {label}" for label in range(6)]
    built = build(chosen, clips_of(sources), known)
    unseen = {row.class_name for row in built.clips if "unseen" in row.partition}
    assert unseen == {f"class {label}" for label in range(6, 10)}


def test_a_shared_source_that_fills_one_class_is_one_more_of_the_other() -> None:
    """Class ``two`` has validation clips anyway: nothing else of it moves."""
    near, *train = sources_at((0.2, 0.21), (0.3, 0.4), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8))
    test_one, test_two, val = sources_at((0.0, 0.05), (0.05, 0.09), (0.12, 0.18))
    groups = {"one": "train", "two": "train"}
    sources = {"one": [near, *train[:2], test_one], "two": [near, *train[2:], test_two, val]}
    found = partitions(arrange(clips_of(sources), groups, SourceShares()))
    assert found == {
        near: "val_seen", val: "val_seen", test_one: "test_seen", test_two: "test_seen",
        **dict.fromkeys(train, "train"),
    }  # fmt: skip


def test_of_three_in_a_partition_two_may_go() -> None:
    """The third came from class ``one``, which lacked it, and counts in class ``two``."""
    near, *train = sources_at((0.2, 0.21), (0.3, 0.4), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8))
    test_one, val, other_val = sources_at((0.0, 0.05), (0.1, 0.11), (0.15, 0.18))
    groups = {"one": "train", "two": "train", "zwei": "train"}
    sources = {
        "one": [near, *train[:2], test_one],
        "two": [near, *train[2:], val, other_val],
        "zwei": [other_val, test_one, *train[2:]],
    }
    found = partitions(arrange(clips_of(sources), groups, SourceShares()))
    assert (found[near], found[val], found[other_val]) == ("val_seen", "test_seen", "val_seen")
    assert [found[source] for source in train] == ["train"] * 4


def test_classes_that_backbones_have_seen() -> None:
    names = ["Hand Stand", "archery", "Dog!", "cat", "archery", "unknown"]
    known = {"late": ["HANDSTAND", "hound"], "early": ["Archery ", "handstand"], "none": []}
    aliases = {"dog": ("Hound", "puppy"), "CAT": ("lynx",)}
    assert pretrained_on(names, known, aliases) == {
        "Dog!": ["late"], "Hand Stand": ["early", "late"], "archery": ["early"]
    }  # fmt: skip
    assert list(pretrained_on(names, known, {})) == ["Hand Stand", "archery"]


def test_nothing_in_common_with_the_lists(published: Path) -> None:
    for plugin in (official, official_grouped):
        settings = plugin.Settings(path=published, benchmark="Mine")
        with pytest.raises(PipelineError, match="none of the 22 clips in the lists of Mine"):
            plugin.build(settings, [Clip("stranger", "s", "z", "file")])
    found = lists.read(published, "Mine", "main")
    first = next(iter(found.partitions["train"]))
    with pytest.raises(PipelineError, match="is of class 'other' in the manifest but of 'trained'"):
        official.join([Clip(first.clip_id, "s", "other", "file")], found, "Mine")
