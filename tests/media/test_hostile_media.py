"""Files that try to have the decoder open something else: other files, and addresses."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from avca_pipeline.media import MediaError
from avca_pipeline.media.container import probe
from tests.media import synthetic
from tests.media.synthetic import ffmpeg, heard, shown


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that FFmpeg could be talked into opening."""
    folder = tmp_path_factory.mktemp("hostile")
    inputs = synthetic.sources(folder, 1.0)
    codecs = ["-c:v", "mpeg4", "-q:v", "2", "-c:a", "mp2"]
    ffmpeg(*inputs, "-map", 0, "-map", 1, *codecs, folder / "secret.ts")
    ffmpeg(*inputs, "-map", 0, folder / "secret%03d.png")
    ffmpeg(*inputs, "-map", 1, "-c:a", "pcm_s16le", folder / "secret.wav")
    return folder


class Server(http.server.ThreadingHTTPServer):
    requests: list[str]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requests.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    found = Server(("127.0.0.1", 0), Handler)
    found.requests = []
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def texts(folder: Path, port: int) -> dict[str, str]:
    """Returns files that name others, by the name under which each would be tried."""
    here, there = f"{folder}/secret.ts", f"http://127.0.0.1:{port}/x.ts"
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
        "<Representation id='1' bandwidth='1'><BaseURL>{}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>"
    )
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    return {
        "list.mp4": f"ffconcat version 1.0\nfile '{here}'\n",
        "list.mkv": f"ffconcat version 1.0\nfile '{there}'\n",
        "plain list.txt": f"file '{here}'\n",
        "play.m3u8": hls.format(here),
        "play.avi": hls.format(there),
        "relative.ts": hls.format("secret.ts"),
        "dash.mpd": dash.format(there),
        "dash.mp4": dash.format(here),
        "session.sdp": session,
        "session.mp4": session,
        "play.ram": f"{there}\n",
        "play.asx": f'<asx version="3.0"><entry><ref href="{there}"/></entry></asx>',
        "graph.mp4": "testsrc=d=1",
        "secret%03d.jpg": "",
        "subtitles.idx": "# VobSub index file, v7\n\nid: en, index: 0\ntimestamp: 00:00:01:000, "
        "filepos: 000000000\n",
    }


NAMES = sorted(texts(Path("x"), 0))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_names_others_opens_none(name: str, victim: Path, server: Server) -> None:
    path = victim / name
    path.write_text(texts(victim, server.server_port)[name] or "x")
    for read in (probe, shown, heard):
        with pytest.raises(MediaError):
            read(path)
    assert server.requests == []


def test_a_name_that_is_a_pattern_opens_no_other_file(victim: Path) -> None:
    path = victim / "secret%03d.png"
    path.write_bytes((victim / "secret001.png").read_bytes()[:50])
    with pytest.raises(MediaError):
        shown(path)


@pytest.mark.parametrize("kind", ["file", "address"])
def test_references_out_of_a_movie_are_not_followed(
    kind: str, victim: Path, server: Server, tmp_path: Path
) -> None:
    """QuickTime's data references: the media would lie in another file."""
    movie = tmp_path / "a.mov"
    ffmpeg("-i", victim / "secret.wav", "-c", "copy", movie)
    content = movie.read_bytes()
    target = victim / "secret.wav" if kind == "file" else None
    text = f"file://{target}" if target else f"http://127.0.0.1:{server.server_port}/x.wav"
    own = bytes.fromhex("0000000c") + b"url " + bytes.fromhex("00000001")
    at = content.rindex(own)
    body = b"url " + bytes(4) + text.encode() + b"\0"
    entry = (len(body) + 4).to_bytes(4, "big") + body
    grown = len(entry) - len(own)
    content = content[:at] + entry + content[at + len(own) :]
    # The boxes around it grow with it.
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = content.rindex(name, 0, at) - 4
        size = int.from_bytes(content[start : start + 4], "big") + grown
        content = content[:start] + size.to_bytes(4, "big") + content[start + 4 :]
    movie.write_bytes(content.replace(b"mdat", b"free"))
    try:
        found = heard(movie)
    except MediaError:
        found = None
    assert server.requests == []
    if found is not None:  # it read its own bytes, as if there were no reference
        secret = heard(victim / "secret.wav")
        assert abs(found[: len(secret)]).sum() == pytest.approx(abs(secret).sum(), rel=0.01)
        (victim / "secret.wav").rename(victim / "away.wav")
        try:
            assert len(heard(movie)) == len(found)
        finally:
            (victim / "away.wav").rename(victim / "secret.wav")


def test_addresses_as_names(tmp_path: Path, server: Server) -> None:
    there = f"http://127.0.0.1:{server.server_port}/x.ts"
    for name in (there, f"concat:{there}", f"subfile,,start,0,end,9,,:{there}", "async:x", "-"):
        with pytest.raises(MediaError, match="missing file"):
            probe(Path(name))
    assert server.requests == []
