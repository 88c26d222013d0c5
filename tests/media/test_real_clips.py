"""Real clips of many kinds, through the dataset ``folder`` and both of the paper's backbones."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.features import Features
from avca_pipeline.backbones import c3d, timm_frames, vggish
from avca_pipeline.stages import extract, fetch
from avca_pipeline.stages import manifest as manifest_stage
from tests.conftest import shared_folder

# A network of timm that is made for tests.
FRAMES = {"model": "test_resnet.r160_in1k"}


def streams(path: Path) -> tuple[bool, bool]:
    """Returns whether a file has a frame of video, and a frame of audio, that can be decoded."""
    found = []
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            of_kind = getattr(container.streams, kind)
            found.append(bool(of_kind) and next(container.decode(of_kind[0]), None) is not None)
    return found[0], found[1]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All real clips in class folders with difficult names, and files that are no clips."""
    folder = tmp_path_factory.mktemp("raw clips")
    media = sorted(shared_folder("media").iterdir())
    for index, path in enumerate(media):
        target = folder / f"class {index % 3} <b>&-x" / f"-{path.stem} ü'{path.suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    bad = folder / "class 0 <b>&-x"
    (bad / "empty.mp4").touch()
    (bad / "notes.txt").write_text("not a clip")
    (bad / "cut.mp4").write_bytes((media[-1].read_bytes())[:2000])
    (bad / ".hidden").write_text("left out")
    return folder


@pytest.fixture(scope="module")
def listed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The list of clips and the table of fetched media."""
    out = tmp_path_factory.mktemp("out")
    settings = {"path": str(raw)}
    manifest_stage.run("folder", settings, 1, out / "manifest.csv", out / "shards")
    clips = out / "shards" / "00000-of-00001.csv"
    fetch.run("folder", settings, clips, out / "raw", out / "fetched.csv")
    return clips, out / "fetched.csv"


def extracted(
    module: ModuleType, listed: tuple[Path, Path], out: Path, workers: int = 1, **settings: str
) -> Features:
    plugin = module.__name__.rsplit(".", 1)[-1]
    extract.run(plugin, settings, {}, *listed, out, cache=out.parent, device="cpu", workers=workers)
    return features.read(out)


def test_every_file_is_a_row(raw: Path, listed: tuple[Path, Path]) -> None:
    rows = {row.clip_id: row for row in fetched.read(listed[1])}
    clips = manifest.read(listed[0])
    visible = [path for path in raw.rglob("*") if path.is_file() and path.name[0] != "."]
    assert len(rows) == len(clips) == len(visible)
    reasons = {row.clip_id.split(":")[1]: row.reason for row in rows.values() if row.reason}
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        "empty.mp4": "empty file",
        "notes.txt": "not a media file",
        "cut.mp4": "not a media file",
    }


@pytest.mark.parametrize("module", [c3d, vggish], ids=["c3d", "vggish"])
def test_clips_with_the_stream_have_features_and_the_others_a_reason(
    module: ModuleType, raw: Path, listed: tuple[Path, Path], tmp_path: Path
) -> None:
    found = extracted(module, listed, tmp_path / "features.h5")
    assert np.isfinite(found.features).all()
    assert (found.features.std(axis=1) > 0).all()
    is_video = module.MODALITY == "video"
    for row in fetched.read(listed[1]):
        if row.status != fetched.OK:
            continue
        has = streams(Path(row.path))[0 if is_video else 1]
        assert (row.clip_id in found.clip_ids) == has
        assert found.rejected.get(row.clip_id, "") == (
            "" if has else f"no {module.MODALITY} stream"
        )


def test_features_do_not_depend_on_workers_or_batches(
    listed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extracted(timm_frames, listed, tmp_path / "a.h5", **FRAMES)
    more_workers = extracted(timm_frames, listed, tmp_path / "b.h5", workers=3, **FRAMES)
    np.testing.assert_array_equal(first.features, more_workers.features)
    monkeypatch.setitem(timm_frames.BATCH_WINDOWS, "cpu", 3)
    other_batches = extracted(timm_frames, listed, tmp_path / "c.h5", **FRAMES)
    assert list(first.clip_ids) == list(other_batches.clip_ids)
    scale = np.abs(first.features).max()
    np.testing.assert_allclose(first.features, other_batches.features, atol=1e-5 * scale)
