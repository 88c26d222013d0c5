"""Downloads are of one version of one file, within bounds, and nobody else's business."""

from __future__ import annotations

import base64
import dataclasses
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.fetching import http_headers, web_files
from avca_pipeline.fetching.web_addresses import AddressError
from avca_pipeline.fetching.web_files import DownloadLimits
from tests.serving import Request, serving

ONE, TWO = b"1" * 300_000, b"2" * 310_000
QUICK = DownloadLimits(attempts=3, timeout_s=10, back_off_s=0, pause=lambda _: None)
HASTY = DownloadLimits(attempts=2, timeout_s=0.3, back_off_s=0, pause=lambda _: None)


class Changing:
    """A file that is exchanged for another one after its download has broken off."""

    def __init__(self, first: dict[str, str], second: dict[str, str], *, is_obedient: bool) -> None:
        self.first, self.second, self.is_obedient = first, second, is_obedient
        self.asked: list[str] = []

    def __call__(self, request: Request) -> None:
        asked = request.headers.get("Range", "")
        self.asked.append(asked)
        if len(self.asked) == 1:
            request.begin(Content_Length=str(len(ONE)), **self.first)
            request.wfile.write(ONE[:100_000])
        elif asked and not self.is_obedient:
            start = int(asked[6:-1])
            part = f"bytes {start}-{len(TWO) - 1}/{len(TWO)}"
            request.answer(TWO[start:], 206, Content_Range=part, **self.second)
        else:
            request.answer(TWO, **self.second)


def dated(seconds_ago: float) -> dict[str, str]:
    return {"Last_Modified": formatdate(1_700_000_000 - seconds_ago, usegmt=True)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"ETag": '"1"'}, {}),  # the number of all bytes tells them apart
        ({"ETag": 'W/"1"'}, {"ETag": 'W/"1"'}),
        (dated(9000), dated(8000)),
        ({}, {}),
        ({"ETag": '"1"'} | dated(9000), {"ETag": '"2"'} | dated(9000)),
    ],
)
@pytest.mark.parametrize("is_obedient", [True, False])
def test_two_versions_are_never_mixed(
    first: dict[str, str], second: dict[str, str], is_obedient: bool, tmp_path: Path
) -> None:
    """Whether the server heeds ``If-Range`` or sends the rest of any version."""
    handle = Changing(first, second, is_obedient=is_obedient)
    with serving(handle) as base:
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert (tmp_path / "a").read_bytes() == TWO
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("validator", [{"ETag": '"1"'}, dated(9000)])
def test_the_same_version_is_continued(validator: dict[str, str], tmp_path: Path) -> None:
    asked = []

    def handle(request: Request) -> None:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        asked.append((start, request.headers.get("If-Range")))
        if start:
            part = f"bytes {start}-{len(ONE) - 1}/{len(ONE)}"
            request.answer(ONE[start:], 206, Content_Range=part, **validator)
        else:
            request.begin(Content_Length=str(len(ONE)), **validator)
            request.wfile.write(ONE[:100_000])

    with serving(handle) as base:
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert (tmp_path / "a").read_bytes() == ONE
    assert asked == [(0, None), (100_000, next(iter(validator.values())))]


def test_a_file_modified_within_the_last_second_may_change_unseen(tmp_path: Path) -> None:
    asked = []

    def handle(request: Request) -> None:
        asked.append(request.headers.get("Range"))
        request.begin(Content_Length=str(len(ONE)), Last_Modified=formatdate(usegmt=True))
        request.wfile.write(ONE if len(asked) > 1 else ONE[:100_000])

    with serving(handle) as base:
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert asked == [None, None]


def test_what_is_left_of_another_address_is_not_continued(tmp_path: Path) -> None:
    asked = []

    def handle(request: Request) -> None:
        asked.append(request.headers.get("Range"))
        content = ONE if request.path == "/one" else TWO
        request.begin(Content_Length=str(len(content)), ETag='"1"')
        request.wfile.write(content[:1000] if request.path == "/one" else content)

    with serving(handle) as base:
        with pytest.raises(TransientError, match="broke off"):
            web_files.download(f"{base}/one", tmp_path / "a", QUICK)
        web_files.download(f"{base}/two", tmp_path / "a", QUICK)
    assert (tmp_path / "a").read_bytes() == TWO
    assert asked[-1] is None


def test_a_partial_file_that_is_too_long_is_dropped(tmp_path: Path) -> None:
    def handle(request: Request) -> None:
        if request.headers.get("Range"):
            request.answer(b"", 416)
        elif is_shrunk.is_set():
            request.answer(TWO[:1000], ETag='"1"')
        else:
            request.begin(Content_Length=str(len(ONE)), ETag='"1"')
            request.wfile.write(ONE[:-1])

    is_shrunk = threading.Event()
    with serving(handle) as base:
        with pytest.raises(TransientError):
            web_files.download(f"{base}/a", tmp_path / "a", DownloadLimits(attempts=1))
        is_shrunk.set()
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert (tmp_path / "a").read_bytes() == TWO[:1000]


def test_several_jobs_want_one_file(tmp_path: Path) -> None:
    """While the first is served slowly, who comes later waits and downloads nothing."""
    begun, goes_on = threading.Event(), threading.Event()
    num_requests = 0

    def handle(request: Request) -> None:
        nonlocal num_requests
        num_requests += 1
        request.begin(Content_Length=str(len(ONE)))
        request.wfile.write(ONE[:100_000])
        begun.set()
        goes_on.wait(30)
        request.wfile.write(ONE[100_000:])

    with serving(handle) as base, ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(web_files.download, f"{base}/a", tmp_path / "a", QUICK)]
        begun.wait(30)
        jobs += [
            pool.submit(web_files.download, f"{base}/a", tmp_path / "a", QUICK) for _ in range(2)
        ]
        goes_on.set()
        for job in jobs:
            job.result(timeout=30)
    assert (tmp_path / "a").read_bytes() == ONE
    assert num_requests == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def drip(request: Request, content: bytes, over: threading.Event) -> None:
    for position in range(len(content)):
        request.wfile.write(content[position : position + 1])
        request.wfile.flush()
        if over.wait(0.05):
            return


@pytest.mark.parametrize("where", ["head", "body", "nothing", "continue"])
def test_who_sends_too_little_is_left(where: str, tmp_path: Path) -> None:
    """Each byte comes within the limit of a read; all together they never end."""
    over = threading.Event()

    def handle(request: Request) -> None:
        if where == "head":
            drip(request, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 50_000, over)
        elif where == "body":
            request.begin(Content_Length="100000")
            drip(request, bytes(100_000), over)
        elif where == "continue":
            drip(request, b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, over)
        else:
            over.wait(30)

    with serving(handle) as base:
        with pytest.raises(TransientError, match=r"no answer within|bytes a second|timed out"):
            web_files.download(f"{base}/a", tmp_path / "a", HASTY)
        over.set()
    assert not (tmp_path / "a").exists()


def test_who_is_held_back_is_not_slow(tmp_path: Path) -> None:
    """Below the least that counts otherwise, and with less in all than is read at a time."""
    content = bytes(range(240))

    def handle(request: Request) -> None:
        asked = request.headers.get("Range", "")
        start = int(asked[6:-1]) if asked else 0
        part = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if start < len(content):
            code = 206 if asked else 200
            request.answer(content[start:], code, Content_Range=part, ETag='"1"')
        else:
            request.answer(b"", 416)

    polite = DownloadLimits(attempts=3, timeout_s=1, back_off_s=0, rate_bytes_per_s=80)
    with serving(handle) as base:
        web_files.download(f"{base}/a", tmp_path / "a", polite)
    assert (tmp_path / "a").read_bytes() == content


def test_an_attempt_ends_in_time(tmp_path: Path) -> None:
    """However fast it is: there is no end to what this server sends."""

    def handle(request: Request) -> None:
        request.begin()
        while True:
            request.wfile.write(bytes(1 << 16))

    limits = DownloadLimits(attempts=1, timeout_s=10, max_s=0.3)
    with serving(handle) as base, pytest.raises(TransientError, match=r"longer than 0\.3 s"):
        web_files.download(f"{base}/a", tmp_path / "a", limits)


@pytest.mark.parametrize("says_so", [True, False])
def test_a_file_that_is_too_large(says_so: bool, tmp_path: Path) -> None:
    def handle(request: Request) -> None:
        request.begin(**({"Content_Length": str(1 << 50)} if says_so else {}))
        while True:
            request.wfile.write(bytes(1 << 16))

    limits = DownloadLimits(attempts=2, max_bytes=1 << 18)
    with serving(handle) as base, pytest.raises(AddressError, match="more than 262144") as caught:
        web_files.download(f"{base}/a", tmp_path / "a", limits)
    assert caught.value.reason == "too large"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address",
    [
        "http://[clip]/a.mp4",
        "http://a..b/x.mp4",
        f"http://{'a' * 70}.example/x.mp4",
        "http:///x.mp4",
        "http://host:99999/x",
        "http://host:port/x",
        "http://user:pa/ss@host/x",
        "http://" + "é" * 70 + ".example/x",
        "ftp://host/x",
        "file:///etc/passwd",
        "http://",
    ],
)
def test_an_odd_address_is_one_line(address: str, tmp_path: Path) -> None:
    with pytest.raises(AddressError) as caught:
        web_files.download(address, tmp_path / "a", QUICK)
    assert caught.value.reason == "odd address"
    assert "\n" not in str(caught.value)
    assert "ss@" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/vidéo.mp4", "/vid%C3%A9o.mp4"),
        ("/a b.mp4?q=ü", "/a%20b.mp4?q=%C3%BC"),
        ("/a%20b.mp4", "/a%20b.mp4"),
        ("?x=1", "/?x=1"),
    ],
)
def test_letters_are_sent_as_browsers_do(path: str, asked: str, tmp_path: Path) -> None:
    paths = []

    def handle(request: Request) -> None:
        paths.append(request.path)
        request.answer(ONE)

    with serving(handle) as base:
        web_files.download(base + path, tmp_path / "a", QUICK)
    assert paths == [asked]


def test_a_web_page_is_no_file(tmp_path: Path) -> None:
    """It is what a proxy or a hotel answers in the place of the server."""
    page = b"<html>Please log in</html>"
    with (
        serving(lambda request: request.answer(page, Content_Type="text/html; charset=x")) as base,
        pytest.raises(TransientError, match="the server sent a web page"),
    ):
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-1", "many", ""])
def test_odd_lengths(length: str, tmp_path: Path) -> None:
    with serving(lambda request: request.answer(ONE, Content_Length=length)) as base:
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert (tmp_path / "a").read_bytes() == ONE


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:,x", "", "http://u:secret@h:p/"]
)
def test_a_redirection_stays_in_the_web(target: str, tmp_path: Path) -> None:
    def handle(request: Request) -> None:
        headers = {"Location": target} if target else {}
        request.answer(b"", 302, **headers)

    with serving(handle) as base, pytest.raises(AddressError, match="redirects") as caught:
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_password_is_sent_to_its_host_alone(tmp_path: Path) -> None:
    """Not to the host that a redirection leads to."""
    sent: dict[str, Any] = {}

    def other(request: Request) -> None:
        sent["other"] = request.headers.get("Authorization")
        request.answer(ONE)

    with serving(other) as elsewhere:

        def handle(request: Request) -> None:
            sent["own"] = request.headers.get("Authorization")
            request.answer(b"", 307, Location=f"{elsewhere}/b")

        with serving(handle) as base:
            address = base.replace("://", "://me:p%40ss@") + "/a?signature=secret"
            web_files.download(address, tmp_path / "a", QUICK)
    assert sent == {"own": "Basic " + base64.b64encode(b"me:p@ss").decode(), "other": None}


@pytest.mark.parametrize("status", [403, 404, 500])
def test_no_message_has_a_password_or_a_signature(
    status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def handle(request: Request) -> None:
        request.answer(
            ONE if request.path.startswith("/good") else b"", status_of[request.path[:5]]
        )

    status_of = {"/good": 200, "/away": status}
    with serving(handle) as plain:
        base = plain.replace("://", "://me:secret@")
        with pytest.raises(PipelineError) as caught:
            web_files.download(f"{base}/away?signature=secret", tmp_path / "a", QUICK)
        web_files.download(f"{base}/good?signature=secret", tmp_path / "a", QUICK)
    assert "secret" not in str(caught.value)
    assert "/away" in str(caught.value)
    said = "".join(capsys.readouterr())
    assert "secret" not in said
    assert "/good" in said


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", [7.0]), ("0", [0.0]), ("x", [0.0]), ("999999", [])]
)
def test_a_server_that_asks_for_patience(asked: str, waited: list[float], tmp_path: Path) -> None:
    pauses: list[float] = []
    num_requests = 0

    def handle(request: Request) -> None:
        nonlocal num_requests
        num_requests += 1
        if num_requests == 1:
            request.answer(b"", 429, Retry_After=asked)
        else:
            request.answer(ONE)

    limits = DownloadLimits(attempts=3, back_off_s=0, pause=pauses.append)
    with serving(handle) as base:
        if waited:
            web_files.download(f"{base}/a", tmp_path / "a", limits)
        else:
            with pytest.raises(TransientError, match="999999 s of patience"):
                web_files.download(f"{base}/a", tmp_path / "a", limits)
    assert pauses == waited


def test_a_date_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_files.time, "time", lambda: 1_700_000_000.0)
    assert http_headers.retry_after_s({"Retry-After": formatdate(1_700_000_030, usegmt=True)}) == 30
    assert http_headers.retry_after_s({"Retry-After": formatdate(1_600_000_000, usegmt=True)}) == 0


@pytest.fixture
def _small_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_small_files")
def test_a_file_that_cannot_be_written_is_no_fault_of_the_server(tmp_path: Path) -> None:
    requests = []

    def handle(request: Request) -> None:
        requests.append(request.path)
        request.answer(ONE, ETag='"1"')

    with serving(handle) as base, pytest.raises(PipelineError, match="cannot be written") as caught:
        web_files.download(f"{base}/a", tmp_path / "a", QUICK)
    assert not isinstance(caught.value, AddressError | TransientError)
    assert len(requests) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "num_asked"),
    [(400, 1), (403, 1), (408, 2), (425, 2), (429, 2), (500, 2), (503, 2)],
)
def test_what_may_pass_is_asked_for_again_at_once(
    status: int, num_asked: int, tmp_path: Path
) -> None:
    asked = []

    def handle(request: Request) -> None:
        asked.append(request.path)
        request.answer(ONE, 200 if len(asked) > 1 else status)

    with serving(handle) as base:
        if num_asked == 1:
            with pytest.raises(TransientError, match=f"HTTP {status}"):
                web_files.download(f"{base}/a", tmp_path / "a", QUICK)
        else:
            web_files.download(f"{base}/a", tmp_path / "a", QUICK)
            assert (tmp_path / "a").read_bytes() == ONE
    assert len(asked) == num_asked


def test_a_proxy_is_asked_for_what_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's name leads nowhere without it."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    asked = []

    def handle(request: Request) -> None:
        asked.append(request.path)
        request.answer(ONE)

    with serving(handle) as proxy:
        limits = dataclasses.replace(QUICK, proxy=proxy)
        web_files.download("http://media.invalid/a", tmp_path / "a", limits)
    assert asked == ["http://media.invalid/a"]
    assert (tmp_path / "a").read_bytes() == ONE
