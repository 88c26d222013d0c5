"""The built split, put together again from its definition: hashes, shares and nearest sources."""

from __future__ import annotations

import random

import pytest

from avca_pipeline.errors import PipelineError
from avca_pipeline.splits.built import Settings, SourceShares, arrange, build
from tests.numbers.sources import clips_of, number, partitions, sources_at


def many(num_classes: int, num_sources: int) -> dict[str, list[str]]:
    return {
        f"class {label}": [f"{label}-{source}" for source in range(num_sources)]
        for label in range(num_classes)
    }


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize(
    ("num_classes", "val", "test", "num_val", "num_test"),
    [(10, 0.2, 0.3, 2, 3), (9, 0.25, 0.15, 2, 1), (5, 0.05, 0.05, 1, 1), (11, 0.15, 0.25, 2, 3)],
)
def test_every_source_is_where_its_number_says(
    seed: int, num_classes: int, val: float, test: float, num_val: int, num_test: int
) -> None:
    """Two classes in five do not divide evenly; shares are rounded, and are one class at least."""
    sources = many(num_classes, 60)
    chosen = Settings(
        seed=seed, val_unseen_classes=val, test_unseen_classes=test, val_seen_sources=0.25,
        test_seen_sources=0.15,
    )  # fmt: skip
    ranked = sorted(sources, key=lambda name: number(seed, "class", name))
    expected = {}
    for rank, name in enumerate(ranked):
        for source in sources[name]:
            at = number(seed, "source", source)
            if rank < num_test:
                expected[source] = "test_unseen"
            elif rank < num_test + num_val:
                expected[source] = "test_seen" if at < 0.15 else "val_unseen"
            elif at < 0.15:
                expected[source] = "test_seen"
            else:
                expected[source] = "val_seen" if at < 0.4 else "train"
    clips = clips_of(sources, per_source=2)
    random.Random(seed).shuffle(clips)
    built = build(chosen, clips)
    assert partitions(built) == expected
    assert [row.clip_id for row in built.clips] == sorted(clip.clip_id for clip in clips)
    of = {clip.clip_id: (clip.class_name, clip.source_id) for clip in clips}
    assert {row.clip_id: (row.class_name, row.source_id) for row in built.clips} == of
    assert built.excluded == {}


def test_the_seed_decides_classes_and_sources() -> None:
    sources = many(12, 30)
    first, same, other = (
        partitions(build(Settings(seed=seed), clips_of(sources))) for seed in (0, 0, 1)
    )
    assert first == same
    unseen = [{s.split("-")[0] for s, p in one.items() if "unseen" in p} for one in (first, other)]
    assert unseen[0] != unseen[1]
    groups = dict.fromkeys(sources, "train")
    by_seed = [
        partitions(arrange(clips_of(sources), groups, SourceShares(seed=seed))) for seed in (0, 1)
    ]
    moved = [source for source, partition in by_seed[0].items() if by_seed[1][source] != partition]
    assert len(moved) > len(by_seed[0]) / 5


def test_classes_of_a_pretraining_come_last_and_keep_their_order() -> None:
    sources = many(10, 20)
    ranked = sorted(sources, key=lambda name: number(0, "class", name))
    chosen = Settings(val_unseen_classes=0.2, test_unseen_classes=0.2)
    for known, test, val in (
        ([], ranked[:2], ranked[2:4]),
        (ranked[:3], ranked[3:5], ranked[5:7]),
        ([ranked[1], ranked[2]], [ranked[0], ranked[3]], ranked[4:6]),
    ):
        built = build(chosen, clips_of(sources), known)
        of = {p: {r.class_name for r in built.clips if r.partition == p} for p in PARTS}
        assert (of["test_unseen"], of["val_unseen"]) == (set(test), set(val))
    with pytest.raises(PipelineError, match=r"4 classes must be unseen, but only 3 of 10"):
        build(chosen, clips_of(sources), ranked[:7])


PARTS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
INTERVALS = {"test_seen": (0.0, 0.1), "val_seen": (0.1, 0.2), "train": (0.2, 1.0)}


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        # Whatever is nearest to an empty partition goes there.
        ([(0.03, 0.05), (0.3, 0.4), (0.6, 0.9)], ["test_seen", "val_seen", "train"]),
        ([(0.12, 0.18), (0.3, 0.4), (0.6, 0.9)], ["val_seen", "test_seen", "train"]),
        ([(0.3, 0.35), (0.4, 0.5), (0.6, 0.9)], ["test_seen", "val_seen", "train"]),
        # A partition's only source stays, however near it is.
        ([(0.08, 0.1), (0.5, 0.6), (0.6, 0.9)], ["test_seen", "val_seen", "train"]),
        # One of several may go, also from below; far from an end is not far from the middle.
        (
            [(0.02, 0.03), (0.04, 0.05), (0.22, 0.24), (0.6, 0.9)],
            ["test_seen", "test_seen", "val_seen", "train"],
        ),
        (
            [(0.02, 0.03), (0.08, 0.09), (0.24, 0.26), (0.6, 0.9)],
            ["test_seen", "val_seen", "train", "train"],
        ),
        ([(0.02, 0.04), (0.08, 0.09), (0.6, 0.9)], ["test_seen", "val_seen", "train"]),
        ([(0.02, 0.04), (0.05, 0.06), (0.08, 0.09)], ["test_seen", "train", "val_seen"]),
        ([(0.11, 0.13), (0.14, 0.16), (0.17, 0.19)], ["test_seen", "val_seen", "train"]),
    ],
)
def test_an_empty_partition_gets_the_nearest_source(
    positions: list[tuple[float, float]], expected: list[str]
) -> None:
    sources = sources_at(*positions)
    built = arrange(clips_of({"only": sources}), {"only": "train"}, SourceShares())
    found = partitions(built)
    assert [found[source] for source in sources] == expected


def test_filling_a_partition_empties_no_other_class_s() -> None:
    """A source that another class needs where it is stays; without any other there is an error."""
    near, far, *more = sources_at((0.2, 0.22), (0.3, 0.4), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8))
    test, val = sources_at((0.0, 0.1), (0.1, 0.2))
    groups = {"one": "train", "two": "train"}
    # Class "two" has no other source in train than the one nearest to what "one" lacks.
    sources = {"one": [near, far, val, *more], "two": [near, test, val]}
    found = partitions(arrange(clips_of(sources), groups, SourceShares()))
    assert (found[near], found[far]) == ("train", "test_seen")
    sources = {"one": [near, val, far], "two": [near, test, val], "three": [far, test, val]}
    with pytest.raises(PipelineError, match="class 'one' shares so many sources"):
        arrange(clips_of(sources), groups | {"three": "train"}, SourceShares())


def test_what_is_filled_by_hand_counts_for_every_class() -> None:
    """A shared source that moves for one class fills the other's partition, and empties it."""
    near, far, *more = sources_at((0.2, 0.22), (0.25, 0.3), (0.5, 0.6), (0.6, 0.7))
    val, other_val = sources_at((0.1, 0.13), (0.13, 0.16))
    groups = {"one": "train", "two": "train"}
    sources = {"one": [near, far, val], "two": [near, more[0], other_val]}
    found = partitions(arrange(clips_of(sources), groups, SourceShares()))
    assert (found[near], found[far], found[more[0]]) == ("test_seen", "train", "train")
    sources = {"one": [near, far, val], "two": [far, *more, other_val]}
    found = partitions(arrange(clips_of(sources), groups, SourceShares()))
    assert (found[near], found[far]) == ("test_seen", "train")
    assert [found[source] for source in more] == ["test_seen", "train"]


def test_a_source_of_classes_that_must_not_meet_is_the_least_seen_one_s() -> None:
    sources = {
        "trained": ["t1", "t2", "t3", "t4", "with val", "with test", "with both"],
        "val": ["v1", "v2", "v3", "with val", "with both", "val and test"],
        "test": ["u1", "with test", "with both", "val and test"],
    }
    groups = {"trained": "train", "val": "val_unseen", "test": "test_unseen"}
    for order in (list(sources), list(reversed(sources))):
        clips = clips_of({name: sources[name] for name in order})
        built = arrange(clips, groups, SourceShares())
        val, test = "a val_unseen class", "a test_unseen class"
        assert built.excluded == {
            clip: f"its source also has clips of {kind}"
            for clip, kind in {
                "trained/with val/0": val,
                "trained/with test/0": test,
                "trained/with both/0": test,
                "val/with both/0": test,
                "val/val and test/0": test,
            }.items()
        }
        kept = {row.clip_id for row in built.clips}
        assert kept == {clip.clip_id for clip in clips} - set(built.excluded)
        found = partitions(built)
        assert {found[s] for s in sources["test"]} == {"test_unseen"}
        assert {found[s] for s in ("v1", "v2", "v3", "with val")} == {"val_unseen", "test_seen"}


@pytest.mark.parametrize(
    ("groups", "num", "needed"),
    [("train", 2, "3, one for each of train, val_seen, test_seen"),
     ("val_unseen", 1, "2, one for each of val_unseen, test_seen"),
     ("test_unseen", 0, "1, one for each of test_unseen")],
)  # fmt: skip
def test_a_class_needs_a_source_for_each_of_its_partitions(
    groups: str, num: int, needed: str
) -> None:
    sources = many(1, num + 1)["class 0"]
    arrange(clips_of({"one": sources}), {"one": groups}, SourceShares())
    with pytest.raises(PipelineError, match=rf"'one' has {num} source\(s\) but needs {needed}"):
        arrange(clips_of({"one": sources[:num]}), {"one": groups}, SourceShares())


def test_at_least_two_classes_are_left_to_train_on() -> None:
    chosen = Settings(val_unseen_classes=0.25, test_unseen_classes=0.25)
    build(chosen, clips_of(many(4, 5)))
    with pytest.raises(PipelineError, match=r"3 class\(es\) are too few to split: 1 .* 1 "):
        build(chosen, clips_of(many(3, 5)))
    with pytest.raises(ValueError, match="together must be less than 1"):
        Settings(val_unseen_classes=0.5, test_unseen_classes=0.5)
    with pytest.raises(ValueError, match="together must be less than 1"):
        Settings(val_seen_sources=0.6, test_seen_sources=0.4)
