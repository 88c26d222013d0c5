"""Real clips of many kinds, through the dataset ``folder`` and both of the paper's backbones."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.features import Features
from avca_pipeline.backbones import (
    MediaSegment,
    c3d,
    selavi_audio,
    selavi_video,
    timm_frames,
    torchvision_video,
    vggish,
)
from avca_pipeline.config import LimitsSettings
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import MediaError
from avca_pipeline.stages import extract, fetch
from avca_pipeline.stages import manifest as manifest_stage
from tests.builders import extract_request, fetch_request, manifest_request
from tests.conftest import shared_folder

pytestmark = pytest.mark.slow

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
    manifest_stage.run(
        manifest_request("folder", settings, 1), out / "manifest.csv", out / "shards"
    )
    clips = out / "shards" / "00000-of-00001.csv"
    fetch.run(fetch_request("folder", settings), clips, out / "raw", out / "fetched.csv")
    return clips, out / "fetched.csv"


def extracted(
    module: ModuleType, listed: tuple[Path, Path], out: Path, workers: int = 1, **settings: str
) -> Features:
    plugin = module.__name__.rsplit(".", 1)[-1]
    extract.run(
        extract_request(plugin, settings),
        *listed,
        out,
        cache=out.parent,
        device="cpu",
        workers=workers,
    )
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


@pytest.mark.parametrize("module", [c3d, vggish, selavi_audio], ids=lambda m: m.__name__)
def test_clips_with_the_stream_have_features_and_the_others_a_reason(
    module: ModuleType, raw: Path, listed: tuple[Path, Path], tmp_path: Path
) -> None:
    if module is c3d:  # Each of its windows takes a second. Other networks see the whole clips.
        beginnings = [replace(clip, start_s=0.0, end_s=2.0) for clip in manifest.read(listed[0])]
        manifest.write(tmp_path / "clips.csv", beginnings)
        listed = tmp_path / "clips.csv", listed[1]
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


@pytest.mark.parametrize(
    ("module", "settings"), [(timm_frames, FRAMES), (vggish, {})], ids=["timm_frames", "vggish"]
)
def test_features_do_not_depend_on_workers_or_batches(
    module: ModuleType,
    settings: dict[str, str],
    listed: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = extracted(module, listed, tmp_path / "a.h5", **settings)
    more_workers = extracted(module, listed, tmp_path / "b.h5", workers=3, **settings)
    np.testing.assert_array_equal(first.features, more_workers.features)
    assert first.rejected == more_workers.rejected
    monkeypatch.setitem(module.BATCH_WINDOWS, "cpu", 3)
    other_batches = extracted(module, listed, tmp_path / "c.h5", **settings)
    assert list(first.clip_ids) == list(other_batches.clip_ids)
    scale = np.abs(first.features).max()
    np.testing.assert_allclose(first.features, other_batches.features, atol=1e-5 * scale)


VARIANTS = [
    (module, module.Settings(**values))
    for module, values in (
        (c3d, {"preprocessing": "official-script"}),
        (selavi_video, {}),
        (selavi_video, {"windows": "official-script"}),
        (selavi_audio, {"windows": "official-script"}),
        (torchvision_video, {}),
        (torchvision_video, {"model": "swin3d_t", "window_frames": 8}),
    )
]


@pytest.mark.parametrize(
    ("module", "settings"),
    VARIANTS,
    ids=[
        f"{m.__name__.rsplit('.', 1)[-1]}-{s.model_dump_json(exclude_unset=True)}"
        for m, s in VARIANTS
    ],
)
def test_every_clip_has_windows_or_a_reason(
    module: ModuleType, settings: WeightsSettings, raw: Path
) -> None:
    """Every other way of cutting clips into windows, without the networks behind it."""
    spec, limits = module.spec(settings), LimitsSettings(max_duration_s=60).limits()
    num_whole = 0
    for path in sorted(path for path in raw.rglob("*") if path.is_file()):
        try:
            windows = list(module.windows(settings, MediaSegment(path), limits))
        except MediaError as error:
            reason = str(error).split(":")[0]
            assert reason in (
                "empty file",
                "not a media file",
                f"no {module.MODALITY} stream",
                "no video stream",
            ), path
            continue
        assert windows, path
        for window in windows:
            assert window.data.shape == spec.window_shape
            assert window.data.dtype == spec.window_dtype
            assert np.isfinite(window.data).all()
        num_whole += len(windows) > 1
    assert num_whole >= 5
