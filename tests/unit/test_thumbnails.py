"""Thumbnails: the right picture of the right clip, within their bounds, and none where none is."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import parse
from avca_pipeline.reporting import thumbnails as module
from avca_pipeline.reporting.coverage import Coverage
from avca_pipeline.reporting.thumbnails import Stretch, stretches, thumbnails
from tests.media.synthetic import HEIGHT, RATE_HZ, WIDTH, ffmpeg, number, pictures
from tests.workflow.driving import tiny

SECONDS = 4


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred numbered pictures, 25 a second."""
    folder = tmp_path_factory.mktemp("movie")
    (folder / "v.raw").write_bytes(pictures(range(RATE_HZ * SECONDS)).tobytes())
    raw = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {RATE_HZ} -i {folder}/v.raw"
    ffmpeg(*raw.split(), *["-c:v", "mpeg4", "-q:v", "2", "-g", "10"], folder / "movie.mp4")
    return folder / "movie.mp4"


def decoded(text: str) -> np.ndarray:
    """Returns the picture of a thumbnail, ``(height, width, 3)``."""
    with av.open(io.BytesIO(base64.b64decode(text)), format="mjpeg") as container:
        (frame,) = container.decode(video=0)
        return frame.to_ndarray(format="rgb24")


def shown_number(text: str) -> int:
    frame = av.VideoFrame.from_ndarray(decoded(text), format="rgb24")
    return number(frame.reformat(width=WIDTH, height=HEIGHT).to_ndarray())


def test_a_thumbnail_shows_the_middle_of_its_clip(movie: Path) -> None:
    clips = [Clip("whole", "s", "a", "m"), Clip("part", "s", "a", "m", 1.0, 2.0)]
    rows = [
        FetchedClip(c.clip_id, OK, path=str(movie), duration_s=4.0, has_video=True) for c in clips
    ]
    media = stretches([Coverage("d", clips, fetched=rows)])
    assert {key: of.middle_s for key, of in media.items()} == {
        ("d", "whole"): 2.0, ("d", "part"): 1.5,
    }  # fmt: skip
    made = thumbnails(media, media)
    assert shown_number(made["d", "whole"]) == 50
    assert shown_number(made["d", "part"]) in (37, 38)
    assert decoded(made["d", "whole"]).shape == (72, 96, 3)
    assert all(len(text) < 8000 for text in made.values())


def test_a_clip_without_usable_media_has_none() -> None:
    clips = [Clip(name, "s", "a", "m") for name in ("rejected", "deaf", "nowhere")]
    rows = [
        FetchedClip("rejected", REJECTED, "missing", path="x.mp4", has_video=True),
        FetchedClip("deaf", OK, path="x.mp4", has_video=False),
        FetchedClip("nowhere", OK, has_video=True),
        FetchedClip("stranger", OK, path="x.mp4", has_video=True),
    ]
    assert stretches([Coverage("d", clips, fetched=rows)]) == {}
    assert thumbnails([("d", "away")], {("d", "away"): Stretch(Path("away.mp4"), 0.0)}) == {}


def test_numbers_and_bytes_are_bounded(movie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = {("d", str(n)): Stretch(movie, n / 25) for n in range(6)}
    made = thumbnails(media, media)
    assert list(made) == list(media)
    monkeypatch.setattr(module, "MAX_THUMBNAILS", 4)
    assert list(thumbnails(media, media)) == list(media)[:4]
    monkeypatch.setattr(module, "MAX_BYTES", sum(map(len, list(made.values())[:2])))
    assert list(thumbnails(media, media)) == list(media)[:2]


def test_files_that_cannot_be_read_cost_their_picture(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "damaged.mp4").write_bytes(movie.read_bytes()[:500])
    (tmp_path / "text.mp4").write_text("<script>")
    files = [tmp_path / "damaged.mp4", movie, tmp_path / "text.mp4", movie]
    media = {("d", str(place)): Stretch(path, 1.0) for place, path in enumerate(files)}
    media["d", "too late"] = Stretch(movie, 100.0)
    assert list(thumbnails(media, media)) == [("d", "1"), ("d", "3")]
    monkeypatch.setattr(module, "MAX_UNREADABLE", 2)
    assert list(thumbnails(media, media)) == [("d", "1")]


def test_thumbnails_can_be_switched_off() -> None:
    assert parse(tiny()).report.thumbnails
    assert not parse(tiny(report={"thumbnails": False})).report.thumbnails


def test_the_decoder_is_imported_once_for_all_clips(movie: Path) -> None:
    # In a new process: this one has imported it.
    made = (
        "from pathlib import Path\n"
        "from avca_pipeline.reporting.thumbnails import Stretch, thumbnails\n"
        f"media = {{('d', str(n)): Stretch(Path({str(movie)!r}), n) for n in range(3)}}\n"
        "print(len(thumbnails(media, media)))"
    )
    command = [sys.executable, "-X", "importtime", "-c", made]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    imported = [line.split("|")[-1].strip() for line in done.stderr.splitlines()]
    assert imported.count("av") == 1
