"""``avca init``: what it writes for clips of all kinds, and what it says about few clips."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline import cli
from avca_pipeline.commands import first_config
from avca_pipeline.config import check_inputs, load
from avca_pipeline.datasets import folder
from avca_pipeline.splits import built
from tests.conftest import REPOSITORY
from tests.media.synthetic import ffmpeg

# Each is a class name that YAML, a format string or a pattern would take for something else.
CLASSES = ['a "b": c', "it's {odd}", "- list", "Ünï ☔"]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip with sound, and one without."""
    made = tmp_path_factory.mktemp("media")
    picture, sound = "testsrc=size=32x32:rate=10:duration=0.5", "sine=duration=0.5"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, made / "sound.mkv")
    ffmpeg("-f", "lavfi", "-i", picture, made / "silent.mkv")
    return made


def folder_of(path: Path, clip: Path, num_classes: int = 4, num_clips: int = 3) -> Path:
    """Makes a folder of clips, all copies of one."""
    for name in CLASSES[:num_classes]:
        (path / name).mkdir(parents=True)
        for number in range(num_clips):
            shutil.copy(clip, path / name / f"{number}{clip.suffix}")
    return path


def init(*words: Any, out: Path) -> int:
    """Runs the command without the network, and returns its exit code."""
    return cli.main(["init", *map(str, words), "--weights", "random", "--out", str(out)])


def refusal(capsys: pytest.CaptureFixture[str], *words: Any, out: Path) -> str:
    """Returns the line that the command ends with."""
    before = out.read_bytes() if out.is_file() else None
    assert init(*words, out=out) == 1
    assert (out.read_bytes() if out.is_file() else None) == before
    return capsys.readouterr().err.splitlines()[-1].removeprefix("avca init: error: ")


def test_a_folder(media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name, and those in it, have what YAML and patterns use."""
    clips = folder_of(tmp_path / "clips: 'a' {b} #c", media / "sound.mkv")
    (clips / "empty").mkdir()
    out = tmp_path / "config.yaml"
    assert init("folder", clips, out=out) == 0
    said = capsys.readouterr().err
    assert "1 class folder(s) without a clip: empty" in said
    assert "12 clips in 4 class(es)" in said
    config = load(out)
    check_inputs(config)
    assert config.datasets["mine"].settings.path == clips
    assert config.datasets["mine"].num_shards == 1
    assert len(config.runs()) == 3
    assert config.used_backbones() == ["pictures", "sound"]
    text = out.read_text()
    assert "12 clips in 4 classes" in text
    assert "1 of 4 classes" in text
    assert "# runs: 3, with 9 trainings" in text
    assert "# disk: " in text
    assert "# time" in text
    assert cli.main(["check", str(out)]) == 0


def test_what_is_there_stays(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = folder_of(tmp_path / "clips", media / "sound.mkv")
    out = tmp_path / "config.yaml"
    out.write_text("mine\n")
    assert "is there already; name another" in refusal(capsys, "folder", clips, out=out)
    assert init("folder", clips, "--force", out=out) == 0
    assert load(out).runs()


def test_silent_clips_need_no_network_for_sound(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = folder_of(tmp_path / "clips", media / "silent.mkv")
    assert init("folder", clips, out=tmp_path / "c.yaml") == 0
    assert "12 of 12 clips that were opened have no sound" in capsys.readouterr().err
    config = load(tmp_path / "c.yaml")
    assert config.used_backbones() == ["pictures"]
    assert {run.modalities for run in config.runs()} == {"video"}


def test_few_silent_clips_are_named_and_sound_is_used(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = folder_of(tmp_path / "clips", media / "sound.mkv")
    shutil.copy(media / "silent.mkv", clips / CLASSES[0] / "0.mkv")
    assert init("folder", clips, out=tmp_path / "c.yaml") == 0
    assert "1 of 12 clips that were opened have no sound\n" in capsys.readouterr().err
    assert load(tmp_path / "c.yaml").used_backbones() == ["pictures", "sound"]


@pytest.mark.parametrize(
    ("num_classes", "num_clips", "line"),
    [
        (1, 3, "found 1 class(es), and 4 are the least that can be split: two to train on"),
        (3, 3, "found 3 class(es), and 4 are the least that can be split: two to train on"),
        (
            4,
            2,
            "has 2 source(s) but needs 3, one for each of train, val_seen, test_seen; add clips",
        ),
    ],
)
def test_too_few_to_split(
    media: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    num_classes: int,
    num_clips: int,
    line: str,
) -> None:
    clips = folder_of(tmp_path / "clips", media / "sound.mkv", num_classes, num_clips)
    said = refusal(capsys, "folder", clips, out=tmp_path / "c.yaml")
    assert line in said
    assert "--features" in said
    assert init("folder", clips, "--features", out=tmp_path / "c.yaml") == 0
    config = load(tmp_path / "c.yaml")
    assert config.used_features() == [("mine", "pictures"), ("mine", "sound")]
    assert not config.runs()


@pytest.mark.parametrize("few", CLASSES)
def test_a_class_with_few_clips_decides_the_seed(media: Path, tmp_path: Path, few: str) -> None:
    """A class of one clip can only be an unseen one of the test, whichever class it is."""
    clips = folder_of(tmp_path / "clips", media / "sound.mkv")
    for number in (1, 2):
        (clips / few / f"{number}.mkv").unlink()
    assert init("folder", clips, out=tmp_path / "c.yaml") == 0
    config = load(tmp_path / "c.yaml")
    split, dataset = config.splits["built"], config.datasets["mine"]
    listed = dataset.module.clips(dataset.settings)
    rows = split.module.build(split.settings, listed).clips
    assert {row.partition for row in rows if row.class_name == few} == {"test_unseen"}


@pytest.mark.parametrize("partition", ["val_unseen", "test_unseen"])
def test_no_partition_is_made_of_a_class_without_a_usable_clip(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], partition: str
) -> None:
    """The class that the first seed would put there alone is the one that cannot be used."""
    clips, out = folder_of(tmp_path / "clips", media / "sound.mkv"), tmp_path / "c.yaml"
    shutil.copytree(clips / CLASSES[0], clips / "rain")
    listed = folder.clips(folder.Settings(path=clips))
    split = built.build(built.Settings(seed=0, **first_config.SHARES), listed).clips
    (broken,) = {row.class_name for row in split if row.partition == partition}
    for path in (clips / broken).iterdir():
        path.write_text("no media")

    assert init("folder", clips, out=out) == 0
    named = f"no clip can be used of 1 class(es): {broken!r} (not a media file 3)"
    assert named in capsys.readouterr().err.splitlines()
    assert cli.main(["check", str(out)]) == 0
    assert f"datasets.mine: {named}" in capsys.readouterr().err.splitlines()

    config = yaml.safe_load(out.read_text())
    assert config["splits"]["built"]["seed"] != 0
    config["splits"]["built"]["seed"] = 0
    out.write_text(yaml.safe_dump(config))
    assert cli.main(["check", str(out)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"avca check: error: splits.built: no clip of partition {partition} can be used: "
        f"{broken!r} (not a media file 3); repair or remove the class(es), or choose another seed"
    )


def test_classes_without_a_usable_clip_do_not_count(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = folder_of(tmp_path / "clips", media / "sound.mkv")
    for path in (clips / CLASSES[0]).iterdir():
        path.write_text("no media")
    said = refusal(capsys, "folder", clips, out=tmp_path / "c.yaml")
    assert said.startswith("found 3 class(es) with a usable clip, and 4 are the least")


def test_a_table(media: Path, tmp_path: Path) -> None:
    table = tmp_path / "my clips.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("clip_id", "source_id", "class_name", "path_or_url", "start_s", "end_s"))
        for number in range(1200):
            row = (number, number, CLASSES[number % 4], media / "sound.mkv", 0.1, 0.35)
            writer.writerow(row)
    assert init("table", table, out=tmp_path / "c.yaml") == 0
    assert load(tmp_path / "c.yaml").datasets["mine"].num_shards == 2


def test_the_published_datasets(media: Path, tmp_path: Path) -> None:
    names = [f"v_{name}_g{group:02d}_c01" for name in
             ("Archery", "Bowling", "Surfing", "Typing") for group in (1, 2, 3)]  # fmt: skip
    for name in names:
        shutil.copy(media / "sound.mkv", tmp_path / f"{name}.avi")
    assert init("ucf101", tmp_path, out=tmp_path / "u.yaml") == 0
    assert load(tmp_path / "u.yaml").used_names("datasets") == ["ucf101"]
    rows = [f"video{n:06d},{n},class {n % 4},train" for n in range(16)]
    (tmp_path / "vggsound.csv").write_text("\n".join(rows) + "\n")
    for n in range(16):
        shutil.copy(media / "sound.mkv", tmp_path / f"video{n:06d}_{n:06d}.mkv")
    assert init("vggsound", tmp_path, out=tmp_path / "v.yaml") == 0
    config = load(tmp_path / "v.yaml")
    check_inputs(config)
    assert config.datasets["vggsound"].settings.csv == tmp_path / "vggsound.csv"
    assert config.datasets["vggsound"].settings.media == (tmp_path,)
    segments = {
        f"id{n}": {"annotations": [{"label": f"class {n % 4}", "segment": [0, 0.4]}]}
        for n in range(16)
    }
    lists = tmp_path / "activity_net.v1-3.min.json"
    lists.write_text(json.dumps({"database": segments}))
    assert init("activitynet", lists, out=tmp_path / "a.yaml") == 0
    assert load(tmp_path / "a.yaml").datasets["activitynet"].settings.media == (tmp_path,)


def test_the_demo(tmp_path: Path) -> None:
    assert cli.main(["init", "demo", str(tmp_path / "r"), "--out", str(tmp_path / "d.yaml")]) == 0
    demo = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    written = yaml.safe_load((tmp_path / "d.yaml").read_text())
    assert written == demo | {"results": str(tmp_path / "r")}


def test_what_is_no_data(media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.yaml"
    (tmp_path / "none").mkdir()
    for number in range(3):
        for name in CLASSES:
            (tmp_path / "texts" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "texts" / name / f"{number}.txt").write_text("words")
    for words, line in [
        (("folder",), "PATH is missing: name what has the clips"),
        (("folder", tmp_path / "nowhere"), f"PATH: {tmp_path}/nowhere: no such file or folder"),
        (("folder", media / "sound.mkv"), "no folder; name the folder with the class folders"),
        (("folder", tmp_path / "none"), "no clip found; put media files into one subfolder"),
        (("folder", tmp_path / "texts"), "none of the 12 clips that were opened can be used (not"),
        (("table", tmp_path), "a folder; name the CSV file in it"),
        (("vggsound", tmp_path / "none"), "has no vggsound.csv; put it beside the videos"),
        (("ucf101", tmp_path / "none"), "no file of UCF101, such as v_Archery_g01_c01.avi"),
    ]:
        assert line in refusal(capsys, *words, out=out)
    assert not out.exists()
