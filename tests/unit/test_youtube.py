"""Clips come from a real server on this machine, whole and cut, or with the reason why not."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from avca_pipeline.artifacts import fetched
from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.fetching import whole_videos, youtube
from avca_pipeline.fetching.youtube import DownloadSettings, Network
from avca_pipeline.media import MediaError
from avca_pipeline.media.cutting import cut
from avca_pipeline.stages import fetch
from avca_pipeline.stages import manifest as manifest_stage
from tests.builders import fetch_request, manifest_request

FPS, WIDTH, HEIGHT, RATE_HZ, LENGTH_S = 25, 64, 48, 16000, 14
QUICK = DownloadSettings(attempts=3, back_off_s=0.01, timeout_s=20)


def download(
    url: str, path: Path, start_s: float, end_s: float, settings: DownloadSettings = QUICK
) -> None:
    youtube.download_segment(url, path, start_s, end_s, Network(settings))


def encode(path: Path) -> bytes:
    """Writes a video whose brightness and whose loudness say which half second it is."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"g": "60", "bf": "2"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ)
        for number in range(LENGTH_S * FPS):
            picture = np.full((HEIGHT, WIDTH, 3), 8 * (2 * number // FPS), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(video.encode())
        times = np.arange(LENGTH_S * RATE_HZ) / RATE_HZ
        wave = (np.sin(2000 * times) * (0.03 * np.floor(2 * times))).astype(np.float32)
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(
                wave[None, start : start + 1024], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = RATE_HZ, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path.read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the video in the way that the path asks for."""

    content: bytes
    requests: Counter[str]
    ranges: list[str]
    over: threading.Event  # until then, who sends nothing more holds the connection

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2].removesuffix(".mp4")
        Handler.requests[name] += 1
        first = Handler.requests[name] == 1
        if name.isdecimal() and int(name) >= 400:
            self.refuse(int(name))
        elif name.startswith("once-") and first:
            self.refuse(int(name[5:]))
        else:
            self.serve(name, first)

    do_HEAD = do_GET

    def refuse(self, code: int) -> None:
        self.send_response(code)
        if code == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, name: str, first: bool) -> None:
        asked = self.headers.get("Range", "")
        start = int(asked[6:].split("-")[0]) if asked else 0
        Handler.ranges.append(asked)
        content, half = self.content, len(self.content) // 2
        # yt-dlp asks once what it is, and then for the video, which breaks off and changes.
        is_second = Handler.requests[name] == 2
        if name == "changes" and Handler.requests[name] <= 2:
            content = content[:2000].ljust(half, b"\0") + content[half:]
        body = content[start:]
        length = len(body) + 1000 * (name == "too-long")
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        if name not in ("anonymous", "changes"):
            self.send_header("ETag", '"1"')
        elif name == "changes":
            self.send_header("ETag", f'"{1 if Handler.requests[name] <= 2 else 2}"')
        if asked:
            end = start + length - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{start + length}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name == "garbage":
            body = bytes(len(body))
        if (name == "breaks" and not start) or (name in ("changes", "anonymous") and is_second):
            body = body[:half]
        try:
            if name in ("stalls", "slow") and not start:
                self.wfile.write(body[:half])
                self.wfile.flush()
                Handler.over.wait()
            else:
                self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def _video(tmp_path_factory: pytest.TempPathFactory) -> None:
    Handler.content = encode(tmp_path_factory.mktemp("video") / "video.mp4")


@pytest.fixture
def server() -> Iterator[str]:
    Handler.requests, Handler.ranges, Handler.over = Counter(), [], threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        Handler.over.set()
        running.shutdown()


def seen_and_heard(path: Path) -> tuple[list[float], list[float], np.ndarray]:
    """Returns the time of each frame, its brightness, and the samples."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        container.seek(0)
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    return (
        [f.time for f in frames],
        [float(f.to_ndarray()[:HEIGHT].mean()) for f in frames],
        samples,
    )


@pytest.mark.parametrize(
    "name", ["whole", "breaks", "stalls", "once-429", "once-403", "once-500", "once-503"]
)
def test_only_the_segment_is_kept(server: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "clip_000003.mp4"
    impatient = QUICK.model_copy(update={"timeout_s": 1.0, "attempts": 10})
    settings = impatient if name == "stalls" else QUICK
    download(f"{server}/{name}.mp4", path, 3, 13, settings)
    times, brightness, samples = seen_and_heard(path)
    assert len(times) == pytest.approx(10 * FPS, abs=2)
    assert times[0] == pytest.approx(0, abs=1 / FPS)
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(Handler.content)
    _, all_brightness, all_samples = seen_and_heard(whole)
    np.testing.assert_array_equal(brightness[: 9 * FPS], all_brightness[3 * FPS : 12 * FPS])
    assert len(samples) == pytest.approx(10 * RATE_HZ, abs=2500)
    middle = samples[5 * RATE_HZ : 5 * RATE_HZ + RATE_HZ // 4]
    expected = all_samples[8 * RATE_HZ : 8 * RATE_HZ + RATE_HZ // 4]
    assert np.abs(middle).max() == pytest.approx(np.abs(expected).max(), rel=0.1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip_000003.mp4", "whole.mp4"]
    if name in ("breaks", "stalls"):
        assert any(asked not in ("", "bytes=0-") for asked in Handler.ranges)  # the rest only


@pytest.mark.parametrize("name", ["changes", "anonymous"])
def test_a_video_is_continued_only_if_it_is_the_same(
    server: str, name: str, tmp_path: Path
) -> None:
    """Not if its server says that it is another one now, nor if it says nothing."""
    path, whole = tmp_path / "clip.mp4", tmp_path / "whole.mp4"
    whole.write_bytes(Handler.content)
    cut(whole, tmp_path / "expected.mp4", 3, 13)
    download(f"{server}/{name}.mp4", path, 3, 13)
    assert Handler.requests[name] >= 4
    for found, expected in zip(
        seen_and_heard(path), seen_and_heard(tmp_path / "expected.mp4"), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "expected.mp4", "whole.mp4"]


@pytest.mark.parametrize(
    ("name", "reason", "num_asked"),
    [
        ("404", "removed", 1),
        ("410", "removed", 1),
        ("451", "blocked", 1),
        ("403", "download failed", 3),
        ("429", "download failed", 3),
        ("500", "download failed", 3),
        ("too-long", "download failed", 3),
        ("garbage", "download failed", 3),
    ],
)
def test_what_fails_says_why_and_permanent_failures_are_remembered(
    server: str, name: str, reason: str, num_asked: int, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    is_permanent = num_asked == 1
    for _ in range(2):
        with pytest.raises(PipelineError, match=f"^{reason}: ") as caught:
            download(f"{server}/{name}.mp4", path, 3, 13)
        assert "\n" not in str(caught.value)
        assert not path.exists()
        assert isinstance(caught.value, MediaError if is_permanent else TransientError)
    assert path.with_name("clip.mp4.failed").exists() == is_permanent
    assert Handler.requests[name] >= (1 if is_permanent else 2 * num_asked)
    if is_permanent:
        before = Handler.requests[name]
        with pytest.raises(MediaError, match=f"^{reason}: "):
            download(f"{server}/{name}.mp4", path, 3, 13)
        assert Handler.requests[name] == before


def test_a_busy_server_is_given_the_time_it_asks_for(server: str, tmp_path: Path) -> None:
    waited: list[float] = []
    network = Network(QUICK, wait=waited.append)
    youtube.download_segment(f"{server}/once-429.mp4", tmp_path / "clip.mp4", 0, 10, network)
    assert waited == [1.0, 0.0]
    waited.clear()
    with pytest.raises(TransientError, match="HTTP Error 503"):
        youtube.download_segment(f"{server}/503.mp4", tmp_path / "other.mp4", 0, 10, network)
    assert waited == [0.01, 0.02]


def test_a_pause_ends_with_the_job(tmp_path: Path) -> None:
    network = Network(QUICK)
    network.stopping.set()
    network.pause(0)  # nothing to wait for
    with pytest.raises(TransientError, match="the job has ended"):
        network.pause(3600)


def test_a_video_that_ends_before_the_clip_has_nothing_in_it(server: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"^nothing in segment: the video ends before 60 s"):
        download(f"{server}/whole.mp4", tmp_path / "clip.mp4", 60, 70)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4.failed"]


def test_a_video_that_is_too_large_is_left(server: str, tmp_path: Path) -> None:
    network = Network(QUICK, max_bytes=len(Handler.content) // 2)
    with pytest.raises(MediaError, match=r"^too large: \d+ bytes"):
        youtube.download_segment(f"{server}/whole.mp4", tmp_path / "clip.mp4", 0, 10, network)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4.failed"]


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What yt-dlp is asked for, by its own names."""
    import yt_dlp

    options: dict[str, object] = {}

    def remember(self: object, given: dict[str, object]) -> None:
        options.update(given)
        raise yt_dlp.utils.DownloadError("asked")

    monkeypatch.setattr(yt_dlp.YoutubeDL, "__init__", remember)
    return options


def test_what_the_user_sets_is_what_yt_dlp_is_asked_for(
    asked_for: dict[str, object], tmp_path: Path
) -> None:
    settings = DownloadSettings(
        cookies=tmp_path / "cookies.txt",
        proxy="socks5://127.0.0.1:9",
        rate_bytes_per_s=12345,
        timeout_s=7,
        format="worst",
        attempts=1,
    )
    with pytest.raises(TransientError, match="asked"):
        download("http://127.0.0.1:9/a", tmp_path / "clip.mp4", 0, 1, settings)
    expected = {
        "cookiefile": str(tmp_path / "cookies.txt"),
        "proxy": "socks5://127.0.0.1:9",
        "ratelimit": 12345,
        "socket_timeout": 7,
        "format": "worst",
    }
    assert {name: asked_for[name] for name in expected} == expected


def test_what_the_user_does_not_set_is_left_to_yt_dlp(
    asked_for: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(TransientError, match="asked"):
        download("http://127.0.0.1:9/a", tmp_path / "clip.mp4", 0, 1)
    assert not {"cookiefile", "proxy", "ratelimit"} & set(asked_for)


def test_a_stretch_of_a_file_that_does_not_begin_at_0(tmp_path: Path) -> None:
    """Broadcasts and live recordings begin where their clock stood."""
    whole, late = tmp_path / "whole.mp4", tmp_path / "late.ts"
    whole.write_bytes(Handler.content)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", whole, "-c", "copy", "-output_ts_offset", "30", late],
        check=True,
    )
    for source in (whole, late):
        cut(source, tmp_path / f"{source.stem}.cut.mp4", 3, 9)
    expected = seen_and_heard(tmp_path / "whole.cut.mp4")
    times, brightness, samples = seen_and_heard(tmp_path / "late.cut.mp4")
    # The last pictures may need one or two that come after the end.
    assert all(6 * FPS <= len(found) <= 6 * FPS + 2 for found in (times, expected[0]))
    assert times[0] == pytest.approx(0, abs=1 / FPS)
    # In the broadcast the sound, which begins first, begins with what MP4 hides: 64 ms.
    same = [np.array_equal(brightness[k : 6 * FPS], expected[1][: 6 * FPS - k]) for k in range(3)]
    assert any(same)
    assert len(samples) == pytest.approx(6 * RATE_HZ, abs=2500)


@pytest.mark.parametrize(
    ("rate_bytes_per_s", "brought", "is_too_slow"),
    [(100, 80, False), (100, 20, True), (None, 900, True), (10**6, 900, True), (None, 1100, False)],
)
def test_how_slow_is_too_slow(
    rate_bytes_per_s: int | None,
    brought: int,
    is_too_slow: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes a second are held against what the user allows, as far as that is less."""
    now = [0.0]
    monkeypatch.setattr(whole_videos, "time", SimpleNamespace(monotonic=lambda: now[0]))
    settings = DownloadSettings(rate_bytes_per_s=rate_bytes_per_s, timeout_s=30)
    watch = whole_videos._DownloadWatch(tmp_path / "a", settings, 10**9)
    now[0] = 31.0
    watch.check({"downloaded_bytes": 1})
    now[0] = 62.0
    state = {"downloaded_bytes": 1 + brought * 31}
    if is_too_slow:
        with pytest.raises(TimeoutError, match="bytes a second"):
            watch.check(state)
    else:
        watch.check(state)


def test_missing_cookies_are_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"download\.cookies: .*none\.txt: no such file"):
        youtube.check_downloads(DownloadSettings(cookies=tmp_path / "none.txt"))


def test_fetch_downloads_what_is_not_here_and_goes_on_after_a_kill(
    server: str, tmp_path: Path
) -> None:
    """Ids name what the server does; one hangs half-way and the process is killed there."""
    (tmp_path / "v.csv").write_text("whole,3,a,train\n404,3,a,train\nslow,3,b,test\n")
    settings = {
        "csv": str(tmp_path / "v.csv"), "download": True, "address": f"{server}/{{id}}.mp4"
    }  # fmt: skip
    manifest_stage.run(
        manifest_request("vggsound", settings, 1), tmp_path / "manifest.csv", tmp_path / "shards"
    )
    clips, raw, out = tmp_path / "shards/00000-of-00001.csv", tmp_path / "raw", tmp_path / "f.csv"
    network = {"workers": 3, "attempts": 2, "back_off_s": 0.01, "timeout_s": 60}
    part = fetch_request("vggsound", settings).model_dump_json()
    running = subprocess.Popen(
        [sys.executable, "-m", "avca_pipeline.cli", "fetch", "--settings", part, "--clips", clips,
         "--raw", raw, "--out", out, "--download", json.dumps(network)],
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    ended = [raw / "whole_000003.mp4", raw / "404_000003.mp4.failed"]
    while not (
        all(path.exists() for path in ended)
        and not any(raw.glob("whole*.lock"))
        and any(path.stat().st_size for path in raw.glob("slow*.part"))
    ):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not out.exists()
    served = Handler.requests["404"]

    fetch.run(fetch_request("vggsound", settings), clips, raw, out, network | {"timeout_s": 20})
    rows = {row.clip_id: row for row in fetched.read(out)}
    assert rows["404_000003"].reason.startswith("removed: ")
    assert Handler.requests["404"] == served
    assert any(asked not in ("", "bytes=0-") for asked in Handler.ranges)  # the rest only
    for clip in ("whole_000003", "slow_000003"):
        assert rows[clip].status == fetched.OK
        assert rows[clip].has_audio
        assert rows[clip].duration_s == pytest.approx(10, abs=0.2)
    left = {path.name for path in raw.iterdir()}
    assert left == {"whole_000003.mp4", "slow_000003.mp4", "404_000003.mp4.failed"}
