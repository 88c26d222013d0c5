"""What ``extract`` makes of windows, with a backbone whose features stand in the clips."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline import backbones, registry
from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.stages import extract
from tests.builders import extract_request

CLIPS = {
    "plain": "1\n2\n6",
    "one": "7",
    "late": "late 1.5\n4\n5",
    "long": "\n".join(str(n) for n in range(11)),
    "exact": "1e8\n1\n-1e8",  # in float32 the 1 would be lost
    "padded": "3 1",
    "padded at the end": "3\n4\n5 1",
    "dies once": "1\n2\ndie once\n3",
    "dies late": "\n".join([*(str(n) for n in range(12)), "die once", "99"]),
    "no number": "1\nnan\n3",
    "no number first": "inf\n1",
    "no number, long ago": "\n".join(["1", "nan", *"123456789012"]),
    "no number last": "1\n2\n-inf",
    "fails half-way": "1\n2\n3\n4\n5\n6\nreject damaged: at window 7",
    "fails at once": "reject no video stream",
    "empty": "",
}
REJECTED_ONES = {
    "no number": "damaged: its features are not finite",
    "no number, long ago": "damaged: its features are not finite",
    "no number first": "damaged: its features are not finite",
    "no number last": "damaged: its features are not finite",
    "fails half-way": "damaged: at window 7",
    "fails at once": "no video stream",
    "empty": "nothing in segment",
}


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    here = str(Path(__file__).parent / "plugins")
    monkeypatch.setattr(backbones, "__path__", [*backbones.__path__, here])
    registry._own_names.cache_clear()
    yield
    registry._own_names.cache_clear()


def run(
    folder: Path, clips: dict[str, str], *, segments: dict[str, tuple[float, float]] | None = None,
    workers: int = 1, settings: dict[str, Any] | None = None, keep_windows: bool = False,
) -> Features:  # fmt: skip
    """Writes the clips and returns their features."""
    listed, rows = [], []
    for number, (name, text) in enumerate(clips.items()):
        path = folder / f"{number}.txt"
        path.write_text(text)
        listed.append(Clip(name, name, "class", path.name, *(segments or {}).get(name, ())))
        status, sha256 = path.stat(), hashlib.sha256(text.encode()).hexdigest()
        more_of_it = {"size": status.st_size, "modified_ns": status.st_mtime_ns}
        rows.append(FetchedClip(name, OK, path=str(path), sha256=sha256, **more_of_it))
    listed.append(Clip("not fetched", "s", "class", "x.txt"))
    rows.append(FetchedClip("not fetched", REJECTED, "missing"))
    manifest.write(folder / "clips.csv", listed)
    fetched.write(folder / "fetched.csv", reversed(rows))
    extract.run(
        extract_request("read_numbers", settings or {}, keep_windows=keep_windows),
        folder / "clips.csv",
        folder / "fetched.csv",
        folder / "out.h5",
        cache=folder,
        device="cpu",
        workers=workers,
    )
    return features.read(folder / "out.h5", with_windows=True)


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(("die", "late"))]


def numbers(text: str) -> list[float]:
    return [float(line.split()[0]) for line in lines_of(text)]


def reals(text: str) -> list[float]:
    return [float([*line.split(), "2"][1]) for line in lines_of(text)]


@pytest.mark.parametrize("workers", [1, 3])
def test_features_are_the_means_of_a_clip_s_own_windows(tmp_path: Path, workers: int) -> None:
    """Whatever shares its batches, and however many decode."""
    found = run(tmp_path, CLIPS, workers=workers)
    kept = sorted(set(CLIPS) - set(REJECTED_ONES))
    assert list(found.clip_ids) == kept
    expected = [[np.mean(numbers(CLIPS[name])), np.mean(reals(CLIPS[name]))] for name in kept]
    np.testing.assert_array_equal(found.features, np.float32(expected))
    assert found.num_windows.tolist() == [len(numbers(CLIPS[name])) for name in kept]
    assert [name for name, is_padded in zip(kept, found.is_padded, strict=True) if is_padded] == [
        "padded"
    ]
    assert found.rejected == REJECTED_ONES
    assert found.windows is None
    assert list(found.media) == [hashlib.sha256(CLIPS[k].encode()).hexdigest() for k in kept]


@pytest.mark.parametrize("workers", [1, 3])
def test_windows_are_kept_where_asked_for(tmp_path: Path, workers: int) -> None:
    """A clip of which one window is no number has none at all."""
    found = run(tmp_path, CLIPS, workers=workers, keep_windows=True)
    assert found.rejected == REJECTED_ONES
    assert found.windows is not None
    expected = [
        pair
        for name in found.clip_ids
        for pair in zip(numbers(CLIPS[name]), reals(CLIPS[name]), strict=True)
    ]
    np.testing.assert_array_equal(found.windows.values, np.float32(expected))
    assert (found.window_s, found.hop_s) == (0.5, 0.25)
    late_s = {"late": 1.5}
    starts_s = [
        late_s.get(name, 0.0) + 0.25 * number
        for name in found.clip_ids
        for number in range(len(numbers(CLIPS[name])))
    ]
    assert found.windows.starts_s.tolist() == starts_s


def test_windows_of_unknown_times_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"read_numbers.keep_windows: .* give its Spec a timing"
    ):
        run(tmp_path, {"one": "2"}, settings={"is_timed": False}, keep_windows=True)
    assert not (tmp_path / "out.h5").exists()
    found = run(tmp_path, {"one": "2"}, settings={"is_timed": False})
    assert np.isnan([found.window_s, found.hop_s]).all()


def test_a_segment_is_a_part_of_its_file(tmp_path: Path) -> None:
    segments = {"early": (0.0, 2.0), "late": (2.0, 5.0), "nothing": (7.0, 9.0)}
    clips = dict.fromkeys(segments, "1\n3\n5\n7\n9")
    found = run(tmp_path, clips, segments=segments)
    assert list(found.clip_ids) == ["early", "late"]
    assert found.features[:, 0].tolist() == [2, 7]
    assert found.rejected == {"nothing": "nothing in segment"}


def test_features_say_how_they_were_made(tmp_path: Path) -> None:
    settings = {"factor": 3.0, "seed": 5}
    found = run(tmp_path, {"one": "2"}, settings=settings)
    assert found.features[0, 0] == 6
    assert found.attributes["backbone"] == "read_numbers"
    assert found.attributes["weights"] == "random:0"
    assert json.loads(found.attributes["preprocessing"]) == settings
    assert (found.window_s, found.hop_s) == (0.5, 0.25)


def test_no_password_of_an_address_stands_with_the_features(tmp_path: Path) -> None:
    weights = "https://me:hunter2@host.example/w.pth"
    found = run(tmp_path, {"one": "2"}, settings={"weights": weights})
    stated = json.loads(found.attributes["preprocessing"])
    assert stated == {"weights": "https://host.example/w.pth"}
    assert b"hunter2" not in (tmp_path / "out.h5").read_bytes()


def test_a_shard_of_which_nothing_is_left(tmp_path: Path) -> None:
    found = run(tmp_path, {"one": "reject damaged: at 0 s"})
    assert (list(found.clip_ids), found.rejected) == ([], {"one": "damaged: at 0 s"})
    assert run(tmp_path, {}).rejected == {}


def test_media_from_an_archive_are_those_that_were_packed(tmp_path: Path) -> None:
    """As where no disk is shared: of the files that were fetched only the archive is here."""
    texts = {"one": "1\n3", "two": "5\n9"}
    paths = {name: tmp_path / "there" / f"{name}.txt" for name in texts}
    (tmp_path / "there").mkdir()
    rows = []
    for name, text in texts.items():
        paths[name].write_text(text)
        status = paths[name].stat()
        rows.append(
            FetchedClip(
                name, OK, path=str(paths[name]), sha256=hashlib.sha256(text.encode()).hexdigest(),
                size=status.st_size, modified_ns=status.st_mtime_ns,
            )
        )  # fmt: skip
    manifest.write(tmp_path / "clips.csv", [Clip(n, n, "class", f"{n}.txt") for n in texts])
    fetched.write(tmp_path / "fetched.csv", rows)
    archives.pack({row.name: Path(row.path) for row in rows}, tmp_path / "media.tar")
    for path in paths.values():
        path.unlink()
    extract.run(
        extract_request("read_numbers", {}), tmp_path / "clips.csv", tmp_path / "fetched.csv",
        tmp_path / "out.h5", cache=tmp_path, device="cpu", workers=1, media=tmp_path / "media.tar",
    )  # fmt: skip
    found = features.read(tmp_path / "out.h5")
    assert list(found.clip_ids) == ["one", "two"]
    assert found.features[:, 0].tolist() == [2, 7]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"there", "clips.csv", "fetched.csv", "media.tar", "out.h5"}


@pytest.mark.parametrize(("precision", "is_allowed"), [("fp32", False), ("tf32", True)])
def test_a_gpu_rounds_products_only_where_asked_for(
    tmp_path: Path, precision: str, is_allowed: bool
) -> None:
    """Torch's switches are for the whole process, and allow it in convolutions by default."""
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = not is_allowed
        run(tmp_path, {"one": "1"}, settings={"precision": precision})
        assert [switch.allow_tf32 for switch in switches] == [is_allowed] * 2
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value
