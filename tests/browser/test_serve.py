"""The page of ``avca serve`` in a browser, and what its server refuses without one."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import avca_pipeline
from avca_pipeline.inference.predictions import Prediction
from tests.conftest import shared_folder
from tests.workflow.test_inference import RUN, StoredTest

MAX_BYTES = 1_000_000
NEW = "blinking yellow dots"


@dataclass
class Served:
    """A server that runs.

    Attributes:
        process: its process.
        address: of the page.
        temporary: folder in which it keeps videos.
    """

    process: subprocess.Popen[str]
    address: str
    temporary: Path

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)", self.address)[0])

    @property
    def videos(self) -> list[Path]:
        """What is there of uploads at this moment."""
        return [path for path in self.temporary.rglob("*") if path.is_file()]

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Returns status and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            answered = connection.getresponse()
            return answered.status, answered.read().decode()

    def begin_upload(self, head: str, body: bytes) -> socket.socket:
        """Returns a connection on which the first bytes of an upload were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        lines = f"POST /videos HTTP/1.1\r\nHost: localhost:{self.port}\r\n{head}\r\n\r\n"
        connection.sendall(lines.encode() + body)
        return connection


def until(condition: Callable[[], object]) -> None:
    """Waits for an event."""
    end_s = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end_s, "the event has not come"
        time.sleep(0.02)


@contextlib.contextmanager
def serving(folder: Path, temporary: Path) -> Iterator[Served]:
    """Yields a server of the tiny run, which ends with the block if it has not before."""
    arguments = ["--run", str(folder / RUN), "--port", "0", "--max-bytes", str(MAX_BYTES)]
    arguments += ["--max-duration", "9"]
    process = subprocess.Popen(
        [sys.executable, "-m", "avca_pipeline.cli", "serve", *arguments, "--device", "cpu"],
        env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
        # Programs in the background of a shell are started deaf to Ctrl-C.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        # Lines before that one say where is computed.
        found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stderr)
        address = next(filter(None, found))[0]
        yield Served(process, address, temporary)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server; another one was killed with a video in its folder before it began."""
    temporary = tmp_path_factory.mktemp("temporary")
    code = (
        "import os, pathlib, sys\n"
        "from avca_pipeline.artifacts.temporary import temporary_folder\n"
        "with temporary_folder(pathlib.Path(sys.argv[1]) / 'avca-serve') as folder:\n"
        "    (folder / 'video').write_bytes(b'private')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(temporary)], check=False, timeout=120)
    assert [path.name for path in temporary.rglob("*") if path.is_file()] == ["video"]
    with serving(finished, temporary) as started:
        yield started


@pytest.fixture(scope="module")
def run(finished: Path) -> Any:
    return avca_pipeline.load_run(finished / RUN, device="cpu")


@pytest.fixture(scope="module")
def video(finished: Path) -> Path:
    """A file with two stretches."""
    stretch = next(name for name in StoredTest(finished).videos if "#t=1.3" in name)
    return Path(stretch.partition("#")[0])


@dataclass
class Watched:
    """A page, and what it asked for and complained of."""

    page: Page
    requests: list[str]
    complaints: list[str]


@contextlib.contextmanager
def opened(browser: Browser, served: Served, **context: Any) -> Iterator[Watched]:
    with browser.new_context(**context) as made:
        watched = Watched(made.new_page(), [], [])
        page = watched.page
        page.on("request", lambda request: watched.requests.append(request.url))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on(
            "console",
            lambda line: watched.complaints.append(line.text) if line.type == "error" else None,
        )
        page.goto(served.address)
        expect(page.locator("#names li")).to_have_count(6)
        yield watched


def rows(prediction: Prediction) -> list[str]:
    """Returns a ranking as the page shows it."""
    return [
        f"{rank} {one.class_name} {'seen' if one.is_seen else 'unseen'} "
        f"{one.score:.3f} {one.distance:.4f}"
        for rank, one in enumerate(prediction.ranking, start=1)
    ]


def expect_ranking(page: Page, prediction: Prediction) -> None:
    # The texts of cells stand side by side in the text of a row.
    wanted = [re.compile(r"\s*".join(map(re.escape, row.split(" ")))) for row in rows(prediction)]
    expect(page.locator("#ranking tr")).to_have_text(wanted, timeout=60_000)


def test_a_video_is_ranked_as_predict_ranks_it_and_again_with_other_names(
    browser: Browser, served: Served, run: Any, video: Path
) -> None:
    with opened(browser, served, viewport={"width": 1400, "height": 900}) as watched:
        page = watched.page
        marks = page.locator("#names .mark").all_inner_texts()
        assert marks == [
            "seen" if name in run.seen_classes else "unseen" for name in run.class_names
        ]
        page.set_input_files("#file", video)
        expect_ranking(page, run.predict(video)[0])
        assert not served.videos
        stretches = run.predict(video, timeline=True, top=1)
        assert len(stretches) == 2
        names = [one.class_name for one in stretches]
        first_ends_s = stretches[0 if names[0] != names[1] else 1].end_s
        first = page.locator("#timeline button").first
        expect(first).to_contain_text(f"0:00.0 to 0:{first_ends_s:04.1f}")
        expect(first).to_contain_text(names[0])
        expect(page.locator("#player")).to_be_visible()
        first.click()

        page.get_by_role("button", name="Leave out seen").click()
        page.get_by_label("Add names, one a line").fill(f"{NEW}\n\n{run.unseen_classes[0]}")
        page.get_by_role("button", name="Add", exact=True).click()
        asked = [*run.unseen_classes, NEW]
        expect(page.locator("#names li")).to_have_count(len(asked))
        expect_ranking(page, run.predict(video, classes=asked)[0])
        expect(page.get_by_role("status")).to_contain_text("Nearest class: ")
        page.get_by_role("button", name=f"Remove {NEW}").press("Enter")
        expect_ranking(page, run.predict(video, leave_out_seen=True)[0])
        page.get_by_role("button", name="Remove all").click()
        expect(page.get_by_role("alert")).to_contain_text("add one")
        page.get_by_role("button", name="Names of the run").click()
        expect_ranking(page, run.predict(video)[0])
    assert not watched.complaints
    assert {url.partition("?")[0].removeprefix(served.address) for url in watched.requests if
            not url.startswith(("blob:", "data:"))} == {
        "", "page.css", "page.js", "run", "videos", "rankings",
    }  # fmt: skip


def test_the_page_fits_and_is_for_everybody(browser: Browser, served: Served, video: Path) -> None:
    for scheme in ("light", "dark"):
        with opened(browser, served, color_scheme=scheme) as watched:
            watched.page.set_input_files("#file", video)
            expect(watched.page.locator("#ranking tr")).to_have_count(5, timeout=60_000)
            for width in (390, 768, 1400):
                watched.page.set_viewport_size({"width": width, "height": 800})
                assert watched.page.evaluate("document.documentElement.scrollWidth") == width
            found = Axe().run(watched.page)
            assert not found.violations_count, found.generate_report()
        assert not watched.complaints


def test_two_at_once_are_both_answered_and_a_broken_file_gets_its_reason(
    browser: Browser, served: Served, run: Any, video: Path, finished: Path, tmp_path: Path
) -> None:
    silent = next((finished / "results/tiny/raw").glob("*no-audio*"))
    (tmp_path / "<b>bold.mp4").write_text("no video")
    with opened(browser, served) as one, opened(browser, served) as other:
        one.page.set_input_files("#file", video)
        other.page.set_input_files("#file", silent)
        expect(other.page.get_by_role("alert")).to_contain_text("no audio stream", timeout=60_000)
        expect_ranking(one.page, run.predict(video)[0])
        for watched in (one, other):
            watched.page.set_input_files("#file", tmp_path / "<b>bold.mp4")
        for watched in (one, other):
            alert = watched.page.get_by_role("alert")
            expect(alert).to_contain_text("cannot be used: not a media file", timeout=60_000)
            expect(watched.page.locator("#ranking tr")).to_have_count(0)
    assert not one.complaints + other.complaints
    assert not served.videos


def test_names_that_are_one_class_are_refused_in_a_sentence(
    browser: Browser, served: Served, run: Any, video: Path
) -> None:
    with opened(browser, served) as watched:
        watched.page.set_input_files("#file", video)
        expect(watched.page.locator("#ranking tr")).to_have_count(5, timeout=60_000)
        watched.page.get_by_label("Add names, one a line").fill(run.class_names[0].upper())
        watched.page.get_by_role("button", name="Add", exact=True).click()
        expect(watched.page.get_by_role("alert")).to_contain_text("is named twice; name it once")
        expect(watched.page.locator("#ranking tr")).to_have_count(0)


def test_a_video_over_the_limit_is_refused_by_the_page_and_by_the_server(
    browser: Browser, served: Served, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(MAX_BYTES + 1))
    with opened(browser, served) as watched:
        watched.page.set_input_files("#file", large)
        expect(watched.page.get_by_role("alert")).to_contain_text("too large")
    assert not any("/videos" in url for url in watched.requests)
    # Whether it says its length or not, most of it is never read: none of it is sent here.
    for head, body in (
        (f"Content-Length: {1 << 40}", b""),
        ("Transfer-Encoding: chunked", b"200000\r\n" + bytes(MAX_BYTES + 1)),
    ):
        with served.begin_upload(head, body) as connection:
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 413"), answer
        assert b"larger than 976.6 KiB, which is the limit" in answer
    assert not served.videos


def test_a_video_that_is_too_long_gets_its_reason(served: Served) -> None:
    sound = (shared_folder("media") / "mma_test.wav").read_bytes()
    picture = (shared_folder("media") / "mpy_chaplin.mp4").read_bytes()
    for body, reason in ((sound, "no video stream"), (picture, "too long")):
        status, text = served.ask("POST", "/videos?suffix=mp4", body)
        assert status == 200
        assert reason in json.loads(text.splitlines()[-1])["reason"]


def test_an_upload_that_breaks_off_leaves_nothing(served: Served) -> None:
    with served.begin_upload("Content-Length: 900000", bytes(1000)):
        until(lambda: served.videos)
        (path,) = served.videos
        assert path.parent.stat().st_mode & 0o777 == 0o700
    until(lambda: not served.videos)


def test_no_more_than_a_few_uploads_are_taken_at_a_time(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            connection = served.begin_upload("Content-Length: 9", b"1")
            stack.enter_context(connection)
        until(lambda: len(served.videos) == 8)
        status, text = served.ask("POST", "/videos", b"more")
        assert (status, "try again" in text) == (503, True)
    until(lambda: not served.videos)
    until(lambda: served.ask("POST", "/videos", b"more")[0] == 200)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/page/index.html",
        "/page.js/../../app.py", "/videos/../../etc/passwd", "/%2e%2e/pyproject.toml",
    ],
)  # fmt: skip
def test_no_path_of_the_server_can_be_asked_for(served: Served, path: str) -> None:
    assert served.ask("GET", path) == (404, '{"error":"Not Found"}')


@pytest.mark.parametrize(
    "suffix", ["../../x", "/etc/passwd", "mp4%00", "a" * 300, "", "%2e%2e%2fx"]
)
def test_the_name_of_an_upload_is_no_path(served: Served, suffix: str) -> None:
    before = sorted(served.temporary.rglob("*"))
    status, text = served.ask("POST", f"/videos?suffix={suffix}", b"no video")
    assert status == 200
    last = json.loads(text.splitlines()[-1])
    assert last == {"reason": "not a media file: Invalid data found when processing input"}
    assert sorted(served.temporary.rglob("*")) == before


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "localhost:9"}, 200),  # as through a tunnel
        ("GET", {"Host": "[::1]"}, 200),
        ("GET", {"Host": "evil.example"}, 403),
        ("GET", {"Host": "localhost.evil.example"}, 403),
        ("GET", {"Host": "127.0.0.1@evil.example"}, 403),
        ("GET", {"Host": "192.0.2.1"}, 403),
        ("GET", {"Host": ""}, 403),
        ("POST", {"Host": "localhost:9", "Origin": "http://localhost:9"}, 400),
        ("POST", {"Host": "localhost:9", "Origin": "http://localhost:8"}, 403),
        ("POST", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-site"}, 403),
        ("PUT", {}, 405),
    ],
)
def test_pages_of_other_sites_get_nothing(
    served: Served, method: str, headers: dict[str, str], status: int
) -> None:
    asked = "/run" if method == "GET" else "/rankings"
    found, text = served.ask(method, asked, headers=headers)
    assert found == status, text
    assert ("class_names" in text) == (status == 200)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", 400, "Expected JSON"),
        ("[" * 100_000, 400, "Expected JSON"),
        ('{"video": 1, "classes": []}', 400, "Expected JSON"),
        ('{"video": "x", "classes": ["a"]}', 404, "forgotten"),
        (" " * ((1 << 20) + 1), 413, "fewer"),
    ],
)
def test_what_is_no_question_gets_a_sentence(
    served: Served, body: str, status: int, message: str
) -> None:
    found, text = served.ask("POST", "/rankings", body)
    assert found == status
    assert message in json.loads(text)["error"]


def test_names_that_are_none_are_refused_in_a_sentence(served: Served, video: Path) -> None:
    _, text = served.ask("POST", "/videos?suffix=mp4", video.read_bytes())
    received = json.loads(text.splitlines()[-1])
    for classes in ([], ["a", 1], [" "], ["\ud800"], "surfing"):
        status, text = served.ask("POST", "/rankings", json.dumps({**received, "classes": classes}))
        assert status == (400 if classes == "surfing" else 422), classes
        assert len(json.loads(text)["error"].splitlines()) == 1


def test_what_a_killed_server_left_is_removed_by_the_next(served: Served) -> None:
    assert not [path for path in served.temporary.rglob("*") if path.name == "video"]


def check_the_end(served: Served, number: signal.Signals, code: int) -> None:
    """Asserts how a server ends while it receives one video and looks at another."""
    clip = (shared_folder("media") / "mpy_chaplin.mp4").read_bytes()
    with (
        served.begin_upload(f"Content-Length: {len(clip)}", clip) as looked_at,
        served.begin_upload("Content-Length: 9", b"1"),
    ):
        assert b'{"before": 0}' in b"".join(iter(lambda: looked_at.recv(1), b"}")) + b"}"
        until(lambda: len(served.videos) == 2)
        served.process.send_signal(number)
        assert served.process.wait(120) == code
    assert not list(served.temporary.iterdir())
    assert served.process.stderr is not None
    assert not served.process.stderr.read()


def test_nothing_is_left_after_ctrl_c(finished: Path, tmp_path: Path) -> None:
    with serving(finished, tmp_path) as started:
        check_the_end(started, signal.SIGINT, 130)


def test_nothing_is_left_after_a_signal_to_end(served: Served) -> None:
    """The last test of this file: it ends the server of the others."""
    check_the_end(served, signal.SIGTERM, 143)
