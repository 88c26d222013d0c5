"""Which clips a later run looks at again: the tables of fetched media against the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from avca_pipeline.artifacts import fetched, manifest, records
from avca_pipeline.artifacts.clip_lists import ShardDigests
from avca_pipeline.artifacts.fetched import REJECTED
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.records import CONTENT, Expected, Record
from avca_pipeline.config import parse
from avca_pipeline.config.names import check_name
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.planning.differences import differences
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.planning.staleness import staleness
from avca_pipeline.stages import VERSIONS, fetch
from tests.archiving import write_zip
from tests.builders import fetch_request

SHARD = "00000-of-00001"
LIST = "mine/manifest.csv"
TABLE = f"mine/fetched/{SHARD}.csv"


class World:
    """A dataset whose clips are listed and fetched, and nothing else."""

    def __init__(self, folder: Path, dataset: dict[str, Any], **sections: Any) -> None:
        self.results = folder / "results"
        self.configure(dataset, **sections)
        self.fetch()

    def configure(self, dataset: dict[str, Any], **sections: Any) -> None:
        """Takes another config for the same results."""
        self.config = parse(
            {
                "results": str(self.results),
                "datasets": {"mine": dataset},
                "backbones": {"c3d": {}, "vggish": {}},
                "feature_sets": {"both": {"video": "c3d", "audio": "vggish"}},
                "text_embeddings": {"hashed": {}},
                "splits": {"built": {}},
                "models": {"avca": {}},
                "experiment": {
                    "datasets": ["mine"], "feature_sets": ["both"], "models": ["avca"],
                    "text_embeddings": ["hashed"], "splits": ["built"],
                },
            }
            | sections
        )  # fmt: skip

    def jobs(self) -> Jobs:
        archives.media_by_stem.cache_clear()  # each run of the workflow is a process of its own
        return Jobs(self.config, VERSIONS, Digests(self.results / "records/digests.json"))

    def fetch(self) -> None:
        """Does what the workflow does for the stages `manifest` and `fetch`."""
        entry = self.config.datasets["mine"]
        jobs = self.jobs()
        clips = [manifest.storable(clip) for clip in entry.module.clips(entry.settings)]
        manifest.write(self.results / LIST, clips)
        job = jobs("manifest", "mine")
        jobs.expected(job).write([self.results / LIST], {}, json.loads(job.settings))
        listed = self.results / f"mine/shards/{SHARD}.csv"
        manifest.write(listed, clips)
        table = self.results / TABLE
        raw = self.results / "mine/raw"
        fetch.run(
            fetch_request(
                entry.plugin,
                entry.settings.model_dump(mode="json"),
                max_bytes=self.config.limits.max_bytes,
            ),
            listed,
            raw,
            table,
        )
        records.write_lists(self.results, [listed])
        expected = jobs.expected(jobs("fetch", "mine", SHARD))
        expected.write([table], expected.check({"clips": [listed]}))

    def reason(self) -> str:
        """Returns why the table is out of date, or nothing."""
        return staleness(self.jobs()).because_of.get(TABLE, "")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with a class of two clips, one of which is a link to nothing."""
    (tmp_path / "media/a").mkdir(parents=True)
    (tmp_path / "media/a/1.mp4").write_text("no film")
    (tmp_path / "media/a/2.mp4").symlink_to(tmp_path / "disk/2.mp4")
    return tmp_path / "media"


def mounted(media: Path) -> None:
    (media.parent / "disk").mkdir()
    (media.parent / "disk/2.mp4").write_text("no film")


def emptied(media: Path) -> None:
    (media / "a/1.mp4").write_text("")


def a_pipe(media: Path) -> None:
    (media / "a/1.mp4").unlink()
    os.mkfifo(media / "a/1.mp4")


def gone_for_now(media: Path) -> None:
    (media / "a/1.mp4").unlink()
    (media / "a/1.mp4").symlink_to("/not mounted")


@pytest.mark.parametrize(
    ("change", "is_stale"),
    [(mounted, True), (emptied, True), (a_pipe, True), (gone_for_now, False)],
)
def test_a_file_of_a_folder(media: Path, change: Callable[[Path], None], is_stale: bool) -> None:
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    assert not world.reason()
    change(media)
    assert bool(world.reason()) == is_stale
    if is_stale:
        world.fetch()
        assert not world.reason()


def test_a_pipe_that_becomes_a_file(media: Path) -> None:
    a_pipe(media)
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    assert not world.reason()
    (media / "a/1.mp4").unlink()
    (media / "a/1.mp4").write_text("no film")
    assert world.reason()


def test_a_file_that_was_too_large(media: Path) -> None:
    limits = {"max_bytes": 5}
    world = World(media.parent, {"plugin": "folder", "path": str(media)}, limits=limits)
    assert "too large" in (world.results / TABLE).read_text()
    assert not world.reason()
    (media / "a/1.mp4").write_text("still too large")
    assert not world.reason()
    (media / "a/1.mp4").write_text("film")
    assert world.reason()


@pytest.mark.parametrize(
    ("reason", "retried"), [("download failed: HTTP 503", {1, 2}), ("removed: HTTP 404", set())]
)
def test_what_may_pass_is_tried_again_in_as_many_runs_as_the_config_says(
    media: Path, reason: str, retried: set[int]
) -> None:
    dataset = {"plugin": "folder", "path": str(media)}
    world = World(media.parent, dataset, download={"runs": 2})
    table, listed = world.results / TABLE, world.results / f"mine/shards/{SHARD}.csv"
    first, *others = fetched.read(table)
    fetched.write(table, [replace(first, status=REJECTED, reason=reason), *others])
    jobs = world.jobs()
    expected = jobs.expected(jobs("fetch", "mine", SHARD))
    expected.write([table], expected.check({"clips": [listed]}))
    found = {}
    for count in range(5):
        table.with_suffix(".tries").write_text(f"{count} of these clips\n")
        found[count] = world.reason()
    words = f"{first.clip_id} is tried again"
    assert found == {count: words if count in retried else "" for count in range(5)}


NAMES = ("v_Archery_g01_c01", "v_Archery_g02_c01")


def archived(folder: Path, **content: bytes) -> None:
    write_zip(folder / "clips.zip", {f"{name}.avi": data for name, data in content.items()})


def test_a_member_of_an_archive_that_was_replaced(tmp_path: Path) -> None:
    archived(tmp_path, **dict.fromkeys(NAMES, b"no film"))
    world = World(tmp_path, {"plugin": "ucf101", "path": str(tmp_path / "clips.zip")})
    assert not world.reason()
    os.utime(tmp_path / "clips.zip", (2e9, 2e9))
    assert not world.reason()
    archived(tmp_path, **{NAMES[0]: b"no film", NAMES[1]: b"a clip!"})
    assert world.reason() == f"the media of {NAMES[1]} is another file now"
    world.fetch()
    assert not world.reason()


def test_a_clip_that_comes_later(tmp_path: Path) -> None:
    """A clip of a list whose file is found by its name, in a folder that had none."""
    (tmp_path / "vggsound.csv").write_text("abc,1,a,train\ndef,2,a,train\n")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/abc_000001.mp4").write_text("no film")
    dataset = {
        "plugin": "vggsound",
        "csv": str(tmp_path / "vggsound.csv"),
        "media": [str(tmp_path / "clips")],
    }
    world = World(tmp_path, dataset)
    assert not world.reason()
    (tmp_path / "clips/xyz_000009.mp4").write_text("of no clip")
    assert not world.reason()
    (tmp_path / "clips/def_000002.mp4").write_text("no film")
    assert world.reason() == "the media of def_000002 is another file now"


class Made(World):
    """The same, with every result of the experiment stood in for by its name and a record."""

    def fetch(self) -> None:
        super().fetch()
        for job in self.jobs():
            if job.rule not in ("manifest", "fetch"):
                self.make(job.rule, job.outputs[0])

    def make(self, rule: str, path: str, content: str = "") -> None:
        """Makes the result of one job anew, as the job does; with another content if given."""
        jobs = self.jobs()
        (job,) = (job for job in jobs if job.rule == rule and path in job.outputs)
        outputs = [self.results / output for output in job.outputs]
        for output in outputs:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(f"{content} {output.name}")
        files = {
            option: [self.results / file.path for file in read]
            for option, read in job.inputs.items()
        }
        expected = jobs.expected(job)
        expected.write(outputs, expected.check(files))


@pytest.mark.parametrize("lost", ["mine/features/c3d.h5", f"mine/features/c3d/{SHARD}.h5"])
def test_what_is_behind_a_lost_result_is_out_of_date(media: Path, lost: str) -> None:
    """A job is killed before its result is there: its readers, and theirs, still have the old."""
    world = Made(media.parent, {"plugin": "folder", "path": str(media)})
    assert not staleness(world.jobs()).paths
    (world.results / lost).unlink()
    assert not staleness(world.jobs()).paths  # it will be made again as it was
    world.make("extract", f"mine/features/c3d/{SHARD}.h5", "other features")
    (world.results / lost).unlink(missing_ok=True)
    stale = staleness(world.jobs()).paths
    run = "mine/runs/built/both/hashed/avca/seed0"
    readers = {"mine/audits/built.json", "report.html"}
    readers |= {f"{run}/{name}" for name in ("selection.json", "stage2.pt", "scores.json")}
    assert readers <= stale
    assert "mine/features/vggish.h5" not in stale


def test_behind_a_lost_result_that_reads_a_stale_one_nothing_is_up_to_date(media: Path) -> None:
    world = Made(media.parent, {"plugin": "folder", "path": str(media)})
    shard = world.results / f"mine/features/c3d/{SHARD}.h5"
    records.path_of(world.results, shard).unlink()
    (world.results / "mine/features/c3d.h5").unlink()
    stale = staleness(world.jobs())
    assert set(stale.because_of) == {f"mine/features/c3d/{SHARD}.h5"}
    readers = {"mine/features/c3d.h5", "mine/audits/built.json", "report.html"}
    readers.add("mine/runs/built/both/hashed/avca/seed0/scores.json")
    assert readers <= stale.paths
    assert "mine/features/vggish.h5" not in stale.paths


def test_a_file_that_was_away_during_extraction_is_back(media: Path) -> None:
    """Its shard is extracted again, and no other."""
    world = Made(media.parent, {"plugin": "folder", "path": str(media)})
    shard = f"mine/features/c3d/{SHARD}.h5"
    away = (world.results / shard).with_suffix(".away")
    away.write_text(f"/not mounted/1.mp4\n{media / 'b.mp4'}\n")
    assert not staleness(world.jobs()).paths
    (media / "b.mp4").write_text("no film")
    assert staleness(world.jobs()).because_of == {shard: f"{media / 'b.mp4'} is back"}


def test_what_the_user_asks_for_is_made_anew(media: Path) -> None:
    """By the name of a rule, of that rule in another workflow, or of a file."""
    world = Made(media.parent, {"plugin": "folder", "path": str(media)})
    table, labels = f"mine/fetched/{SHARD}.csv", "mine/labels/hashed.h5"
    for forced, path in (("fetch", table), ("theirs_fetch", table)):
        assert staleness(world.jobs(), [forced]).because_of == {path: "asked for"}
    found = staleness(world.jobs(), [str(world.results / labels)])
    assert found.because_of == {labels: "asked for"}
    assert found.causes == {("embed", "asked for"): 1}


def test_names_that_cannot_be_written_down_make_nothing_anew(media: Path) -> None:
    """The list that planning expects is the one that the stage writes."""
    for name in (b"two\nlines.mp4", b"no utf-8 \xff.mp4"):
        (media / "a" / os.fsdecode(name)).write_text("no film")
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    assert not staleness(world.jobs()).because_of


def test_a_folder_is_its_files_and_their_names(tmp_path: Path) -> None:
    digests = Digests(tmp_path / "digests.json")
    folder = tmp_path / "one"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "deep/b").write_text("b")
    before = digests.of_all([folder])
    moved = folder.rename(tmp_path / "two")
    assert digests.of_all([moved]) == before
    (moved / "a").rename(moved / "c")
    renamed = digests.of_all([moved])
    assert renamed != before
    (moved / "deep/b").write_text("another")
    assert digests.of_all([moved]) not in (before, renamed)


@pytest.mark.parametrize("damage", [b"\xff\xfe,no,text\n", b"a" * 200_000 + b"\n"])
def test_a_damaged_table_is_made_anew(media: Path, damage: bytes) -> None:
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    with open(world.results / TABLE, "ab") as table:
        table.write(damage)
    assert world.reason() == f"{TABLE} was changed"


def test_a_damaged_record_is_none(media: Path) -> None:
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    path = records.path_of(world.results, world.results / TABLE)
    path.write_text('{"recipe": "a", "inputs": ["b"], "digest": "c"}')
    assert world.reason() == f"{TABLE} has no record"


def test_results_of_an_earlier_release_are_said_to_be_so(media: Path) -> None:
    """Its records did not have what the stage was asked for."""
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    path = records.path_of(world.results, world.results / TABLE)
    content = json.loads(path.read_text())
    content.pop("request")
    path.write_text(json.dumps(content))
    assert not world.reason()
    path.write_text(json.dumps({**content, "recipe": "another"}))
    assert world.reason() == "made by an earlier release"


def test_a_list_of_clips_names_the_key_that_has_changed(media: Path) -> None:
    """Also where the list says the same afterwards: Snakemake would show both requests whole."""
    dataset = {"plugin": "folder", "path": str(media)}
    world = World(media.parent, dataset)
    assert not staleness(world.jobs()).causes
    for value in ("(nothing)", "(.)"):
        world.configure({**dataset, "source_pattern": value})
        words = f'settings.source_pattern is "{value}", was null'
        assert ("manifest", words) in staleness(world.jobs()).causes


def test_a_list_of_clips_of_an_earlier_release_has_no_record(media: Path) -> None:
    world = World(media.parent, {"plugin": "folder", "path": str(media)})
    records.path_of(world.results, world.results / LIST).unlink()
    assert staleness(world.jobs()).causes == {("manifest", f"{LIST} has no record"): 1}
    assert not world.reason()  # what is made of it stays


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b is 2, was 1"),
        ({"a": 1}, {"a": 1, "c": [1]}, "c is [1], was not there"),
        ({"a": {"b": 1}, "d": None}, {"d": None}, "a.b is gone, was 1"),
        ({"a": {}}, {"a": {"b": "x"}}, 'a is gone, was {}; a.b is "x", was not there'),
        ({}, dict.fromkeys("abcde", 1), "a is 1, was not there; b is 1, was not there; "
         "c is 1, was not there; and 2 more"),
        ({"a": "x" * 100}, {"a": 1}, f'a is 1, was "{"x" * 59}…'),
        ({"a": [1, 2]}, {"a": [1, 2]}, ""),
    ],
)  # fmt: skip
def test_keys_that_differ_are_named(
    before: dict[str, Any], now: dict[str, Any], words: str
) -> None:
    assert differences(before, now) == words


@pytest.fixture
def job(tmp_path: Path) -> tuple[Expected, Path, Path]:
    """What a job expects of its one input, which was made as it should; its input and output."""
    source, out = tmp_path / "source.h5", tmp_path / "out.h5"
    source.write_text("source")
    Expected(tmp_path, "recipe of source", {}).write([source], {})
    return Expected(tmp_path, "recipe", {"features": "recipe of source"}), source, out


def test_a_job_takes_no_input_of_other_settings(job: tuple[Expected, Path, Path]) -> None:
    """A job of an earlier run ends late, and puts its file and its record over the newer ones."""
    expected, source, _ = job
    assert expected.check({"features": [source]})
    source.write_text("older")
    Expected(source.parent, "older recipe", {}).write([source], {})
    with pytest.raises(PipelineError, match="made with other settings") as error:
        expected.check({"features": [source]})
    assert str(source) in str(error.value)


def test_a_job_takes_no_input_that_was_changed(job: tuple[Expected, Path, Path]) -> None:
    """Also in the moment when the late job has put its file there and not yet its record."""
    expected, source, _ = job
    source.write_text("older")
    with pytest.raises(PipelineError, match="made with other settings"):
        expected.check({"features": [source]})


def test_one_of_many_inputs(job: tuple[Expected, Path, Path], tmp_path: Path) -> None:
    _, source, _ = job
    other = tmp_path / "other.h5"
    other.write_text("other")
    Expected(tmp_path, "recipe of other", {}).write([other], {})
    both = records.joint(["recipe of source", "recipe of other"])
    expected = Expected(tmp_path, "recipe", {"features": both})
    assert len(expected.check({"features": [source, other]})) == 2
    with pytest.raises(PipelineError, match="a file beside"):
        expected.check({"features": [other, source]})


def test_a_list_of_clips_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    clips = [Clip("a", "s", "c", "a.mp4"), Clip("b", "s", "c", "b.mp4", 1, 2.5, "no sound")]
    manifest.write(path, clips)
    records.write_lists(tmp_path, [path])
    digests = ShardDigests(1)
    digests.add("ba", map(manifest.cells, reversed(clips)))
    expected = Expected(tmp_path, "recipe", {"clips": CONTENT + digests.of_all()})
    assert expected.check({"clips": [path]})
    manifest.write(path, clips[1:])
    with pytest.raises(PipelineError, match="from other clips"):
        expected.check({"clips": [path]})
    records.write_lists(tmp_path, [path])
    with pytest.raises(PipelineError, match="from other clips"):
        expected.check({"clips": [path]})


def test_what_is_made_from_the_same_is_kept(job: tuple[Expected, Path, Path]) -> None:
    expected, source, out = job
    out.write_text("result")
    digests = expected.check({"features": [source]})
    expected.write([out], digests)
    records.keep(expected.results, ["out.h5"])
    out.unlink()  # as Snakemake does before a job
    assert expected.keep([out], digests)
    assert out.read_text() == "result"
    records.keep(expected.results, ["out.h5"])
    out.unlink()
    assert not expected.keep([out], digests | {"source.h5": "another digest"})
    assert not Expected(expected.results, "other recipe", {}).keep([out], digests)
    assert not out.exists()


def test_the_records_of_a_dataset_of_any_name_stay(tmp_path: Path) -> None:
    """The folder of what is kept lies among them, and no dataset can have its name."""
    check_name("datasets", "kept")
    out = tmp_path / "kept" / "manifest.csv"
    records.write(tmp_path, out, Record("recipe"))
    records.keep(tmp_path, [])
    assert records.read(tmp_path, out) == Record("recipe")
    with pytest.raises(PydanticCustomError):
        check_name("datasets", records.KEPT)


def test_what_was_changed_is_not_kept(job: tuple[Expected, Path, Path]) -> None:
    expected, source, out = job
    out.write_text("result")
    digests = expected.check({"features": [source]})
    expected.write([out], digests)
    out.write_text("changed")
    records.keep(expected.results, ["out.h5"])
    assert not expected.keep([out], digests)


def test_digests_are_remembered_until_a_file_is_touched(tmp_path: Path) -> None:
    path, memory = tmp_path / "file", tmp_path / "memory.json"
    path.write_text("one")
    digests = Digests(memory)
    first = digests.of(path)
    digests.save()
    status = path.stat()
    path.write_text("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same date
    assert Digests(memory).of(path) != first
    memory.write_text("no JSON")
    assert Digests(memory).of(path) == records.digest_of(path)
