"""Features go out with a card and come back as they were, and tell nothing of this machine."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import DatasetCard

from avca_pipeline.artifacts import features, fetched, manifest, records
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.cli import main
from avca_pipeline.config import ImportedFeatures
from avca_pipeline.errors import PipelineError
from avca_pipeline.stages import import_
from tests.builders import SHARD, import_request
from tests.hub import TOKEN, Hub
from tests.serving import serving

IDS = ("=cmd()", "a | b", "c", "lost", "refused")
HOME = "/home/somebody/my clips"


def dataset(folder: Path) -> Path:
    """Writes the results of a dataset with two backbones, one of which keeps windows."""
    top = folder / "results with space/d"
    clips = [
        Clip(name, f"source of {name}", "a <b>cat</b>" if n % 2 else "@dog", f"{HOME}/{n}.mp4")
        for n, name in enumerate(IDS)
    ]
    clips[0] = replace(clips[0], path_or_url="https://me:password@host/clip.mp4?token=1234")
    manifest.write(top / "manifest.csv", clips)
    record = records.path_of(top.parent, top / "manifest.csv")
    record.parent.mkdir(parents=True)
    record.write_text('{"recipe": "", "request": {"plugin": "vggsound"}}')
    rows = [FetchedClip(name, OK) for name in IDS if name != "lost"]
    rows.append(FetchedClip("lost", REJECTED, f"missing file: {top}/raw/lost.mp4"))
    fetched.write(top / f"fetched/{SHARD}.csv", rows)
    generator = np.random.default_rng(0)
    lengths = np.array([2, 1, 3])
    windows = generator.standard_normal((6, 4)).astype(np.float32)
    starts_s = np.array([0, 0.5, 0, 0, 0.5, 1.0])
    preprocessing = {
        "weights": f"{HOME}/c3d.pickle",
        "frames": "https://me:unspoken@host/f?sig=5678",
    }
    sound = Features(
        IDS[:3],
        generator.standard_normal((3, 5)).astype(np.float32),
        np.array([1, 1, 2]),
        np.array([True, False, False]),
        {name: generator.standard_normal(3) for name in features.NOTES},
        {"refused": "damaged: /var/lib/private/x.mp4: 3 of 4 packets"},
        {"backbone": "vggish", "weights": "ab" * 32, "preprocessing": '{"weights":"published"}'},
        ("11" * 32, "22" * 32, "33" * 32),
        0.96,
        0.96,
    )
    seen = replace(
        sound,
        features=generator.standard_normal((3, 4)).astype(np.float32),
        num_windows=lengths,
        attributes={
            "backbone": "c3d", "weights": "cd" * 32, "preprocessing": json.dumps(preprocessing)
        },
        window_s=0.5,
        hop_s=0.5,
        has_windows=True,
        windows=FeatureWindows(windows, starts_s),
    )  # fmt: skip
    features.write(top / "features/c3d.h5", seen)
    features.write(top / "features/vggish.h5", sound)
    return top


def published(folder: Path, *more: str) -> Path:
    top = dataset(folder)
    names = [str(top / f"features/{name}.h5") for name in ("c3d", "vggish")]
    assert main(["publish", "features", *names, "--out", str(folder / "out"), *more]) == 0
    return folder / "out"


def imported(folder: Path, modality: str, path: str, **settings: Any) -> Features:
    top = folder / "results with space/d"
    request = import_request(modality, path)
    source = ImportedFeatures(modality=modality, path=path, **settings)
    import_.run(
        request.model_copy(update={"source": source}),
        top / "manifest.csv", folder / "back.h5", folder / "cache",
    )  # fmt: skip
    return features.read(folder / "back.h5", with_windows=True)


def assert_same(found: Features, original: Features) -> None:
    for name in ("features", "num_windows", "is_padded"):
        expected = getattr(original, name)
        np.testing.assert_array_equal(getattr(found, name), expected)
        assert getattr(found, name).dtype == expected.dtype
    for name in features.NOTES:
        np.testing.assert_array_equal(found.notes[name], original.notes[name])
    assert list(found.clip_ids) == list(original.clip_ids)
    assert list(found.media) == list(original.media)
    assert (found.window_s, found.hop_s) == (original.window_s, original.hop_s)
    assert found.rejected == {
        "lost": "missing file: lost.mp4", "refused": "damaged: x.mp4: 3 of 4 packets"
    }  # fmt: skip


def test_features_come_back_as_they_were(tmp_path: Path) -> None:
    out = published(tmp_path)
    top = tmp_path / "results with space/d/features"
    sound = imported(tmp_path, "audio", str(out))
    assert_same(sound, features.read(top / "vggish.h5"))
    assert sound.windows is None
    made = json.loads(sound.attributes["made_with"])
    assert (made["backbone"], made["weights"]) == ("vggish", "ab" * 32)
    over_time = {"keep_windows": True, "window_s": 0.5, "hop_s": 0.5}
    seen = imported(tmp_path, "video", str(out), **over_time)
    original = features.read(top / "c3d.h5", with_windows=True)
    assert_same(seen, original)
    assert seen.windows is not None
    assert original.windows is not None
    np.testing.assert_array_equal(seen.windows.values, original.windows.values)
    np.testing.assert_array_equal(seen.windows.starts_s, original.windows.starts_s)


def test_a_shard_gets_its_clips_alone(tmp_path: Path) -> None:
    out, top = published(tmp_path), tmp_path / "results with space/d"
    listed = manifest.read(top / "manifest.csv")
    manifest.write(top / "manifest.csv", [clip for clip in listed if clip.clip_id in "c lost"])
    over_time = {"keep_windows": True, "window_s": 0.5, "hop_s": 0.5}
    found = imported(tmp_path, "video", str(out), **over_time)
    original = features.read(top / "features/c3d.h5", with_windows=True)
    assert list(found.clip_ids) == ["c"]
    np.testing.assert_array_equal(found.features, original.features[2:])
    assert found.windows is not None
    assert original.windows is not None
    np.testing.assert_array_equal(found.windows.values, original.windows.values[3:])
    assert list(found.rejected) == ["lost"]


def test_nothing_published_says_where_it_was(tmp_path: Path) -> None:
    out = published(tmp_path)
    content = b"".join(path.read_bytes() for path in out.iterdir())
    for secret in (
        "somebody", "my clips", "password", "1234", "unspoken", "5678", "/var", str(tmp_path),
    ):  # fmt: skip
        assert secret.encode() not in content, secret
    assert b"https://host/clip.mp4" in content
    assert b"c3d.pickle" in content


def test_the_card_is_read_by_the_hub_and_its_lines_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = published(tmp_path, "--licence", "cc-by-4.0")
    card = DatasetCard.load(out / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.size_categories == ["n<1K"]
    assert card.data.to_dict()["configs"] == [{"config_name": "clips", "data_files": "clips.csv"}]
    assert "cd" * 32 in card.text
    assert "Apache 2.0" in card.text  # of VGGish's published weights
    assert "says: CC BY 4.0 for the list; each video belongs to whoever published" in card.text
    assert r"\<b\>" not in card.text.replace("clips.csv", "")  # no class is in it
    assert "damaged: x.mp4: 3 of 4 packets" in card.text
    code, config = re.findall(r"^```(?:python|yaml)\n(.*?)^```", card.text, re.M | re.S)
    assert len(code.splitlines()) == 5
    monkeypatch.chdir(out)
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out == "3 (3, 4) 2\n"
    entry = yaml.safe_load(config)["imported"]["c3d"]
    found = imported(tmp_path, path=str(out), **{k: v for k, v in entry.items() if k != "path"})
    assert found.windows is not None
    table = (out / "rejected.csv").read_text().splitlines()
    assert table[1] == "lost,c3d,missing file: lost.mp4"


def test_upload_and_import_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client and ours, against a stand-in of the Hub on this machine."""
    hub = Hub()
    with serving(hub.answer) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        out = published(tmp_path, "--to", "hf:me/features@v1")
        assert hub.name == "me/features"
        assert hub.is_private
        assert hub.branches["v1"] == {path.name: path.read_bytes() for path in out.iterdir()}
        found = imported(tmp_path, "audio", f"hf:me/features@{hub.commit}")
        top = tmp_path / "results with space/d/features"
        assert_same(found, features.read(top / "vggish.h5"))
        hub.branches["v1"]["video.h5"] += b"more"
        with pytest.raises(PipelineError, match=r"video\.h5: SHA-256 is .* get the folder again"):
            import_.run(
                import_request("video", f"hf:me/features@{hub.commit}"),
                tmp_path / "results with space/d/manifest.csv",
                tmp_path / "other.h5",
                tmp_path / "another cache",
            )
        hub.refuses = True
        names = [str(top / "vggish.h5")]
        assert main(["publish", "features", *names, "--out", str(tmp_path / "b"), "--to",
                     "hf:me/other"]) == 1  # fmt: skip
        assert (tmp_path / "b/README.md").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--licence", "My Own"], "--licence: 'My Own': write it as the Hub does"),
        (["--to", "me/features"], "--to: 'me/features': write hf:owner/name"),
        (["--to", "hf:me/a/b"], "--to: 'hf:me/a/b': write hf:owner/name"),
        (["--to", "hf:me/features"], "--to: the Hub does not know you"),
    ],
)
def test_a_wrong_option_is_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    path = dataset(tmp_path) / "features/c3d.h5"
    out = tmp_path / "out"
    assert main(["publish", "features", str(path), "--out", str(out), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_other_files_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = published(tmp_path)
    path = str(tmp_path / "results with space/d/features/c3d.h5")
    assert main(["publish", "features", path, "--out", str(out)]) == 0
    assert not (out / "audio.h5").exists()
    (out / "mine.txt").write_text("mine")
    assert main(["publish", "features", path, "--out", str(out)]) == 1
    assert "has other files in it" in capsys.readouterr().err
    assert main(["publish", "features", path, path, "--out", str(tmp_path / "x")]) == 1
    assert "one video backbone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ("sound", {}, r"audio\.h5: SHA-256 is .*get the folder again"),
        ("away", {}, r"audio\.h5: no such file; copy the folder as a whole"),
        ("", {"window_s": 0.5}, "window_s of these features is 0.96, and the config says 0.5"),
        (
            "",
            {"keep_windows": True, "window_s": 0.96, "hop_s": 0.96},
            "has no windows but their means alone",
        ),
    ],
)
def test_a_folder_that_is_not_whole_is_one_line(
    tmp_path: Path, change: str, settings: dict[str, Any], message: str
) -> None:
    out = published(tmp_path)
    if change == "sound":
        (out / "video.h5").replace(out / "audio.h5")
    elif change:
        (out / "audio.h5").unlink()
    with pytest.raises(PipelineError, match=message):
        imported(tmp_path, "audio", str(out), **settings)


@pytest.mark.parametrize("path", ["hf:me/features", "hf:me@v1", "hf:me/a@", "hf:../x@v1"])
def test_a_repository_without_a_revision_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="write hf:owner/name@revision"):
        ImportedFeatures(modality="video", path=path)


def test_what_made_features_is_known_after_they_were_given_away_twice(tmp_path: Path) -> None:
    once = imported(tmp_path, "audio", str(published(tmp_path)))
    again = tmp_path / "results with space/d/features/again.h5"
    shutil.copy(tmp_path / "back.h5", again)
    assert main(["publish", "features", str(again), "--out", str(tmp_path / "more")]) == 0
    twice = imported(tmp_path, "audio", str(tmp_path / "more"))
    assert twice.attributes["made_with"] == once.attributes["made_with"]
