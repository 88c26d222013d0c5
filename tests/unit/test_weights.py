"""Weights come whole and verified, from a real server on this machine, or not at all."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from avca_pipeline import weights
from avca_pipeline.errors import PipelineError
from avca_pipeline.weights import WeightsSettings

CONTENT = os.urandom(3 * weights.CHUNK_BYTES + 17)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENT` in the way that the path asks for."""

    requests: list[str]

    def do_GET(self) -> None:
        Handler.requests.append(self.headers.get("Range", ""))
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
        if self.path == "/absent":
            self.send_error(404)
            return
        if self.path == "/busy" and len(Handler.requests) == 1:
            self.send_error(503)
            return
        resumes = start and self.path != "/no-ranges"
        body = CONTENT[start:] if resumes else CONTENT
        self.send_response(206 if resumes else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        breaks = self.path in ("/breaks", "/no-ranges") and len(Handler.requests) < 3
        self.wfile.write(body[: len(body) // 2] if breaks else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(weights.time, "sleep", lambda _: None)
    Handler.requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("path", ["/whole", "/breaks", "/no-ranges", "/busy"])
def test_download_ends_whole(server: str, path: str, tmp_path: Path) -> None:
    settings = WeightsSettings(weights=server + path, sha256=SHA256)
    found, sha256 = weights.locate(settings, tmp_path)
    assert sha256 == SHA256
    assert found.read_bytes() == CONTENT
    num_requests = len(Handler.requests)
    assert weights.locate(settings, tmp_path) == (found, SHA256)
    assert len(Handler.requests) == num_requests  # kept, not downloaded again
    if path == "/breaks":
        assert any(Handler.requests)  # asked for the rest only
    assert not list(tmp_path.glob("*.part"))


def test_what_is_not_there_is_said_at_once(server: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="HTTP 404"):
        weights.locate(WeightsSettings(weights=server + "/absent"), tmp_path)
    assert len(Handler.requests) == 1


def test_wrong_content_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=f"SHA-256 is {SHA256}, expected {'0' * 64}"):
        weights.locate(WeightsSettings(weights=server + "/whole", sha256="0" * 64), tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_first_use_is_pinned(server: str, tmp_path: Path) -> None:
    settings = WeightsSettings(weights=server + "/whole")
    path, _ = weights.locate(settings, tmp_path)
    path.write_bytes(b"changed on disk")
    with pytest.raises(PipelineError, match=f"expected {SHA256}"):
        weights.locate(settings, tmp_path)


def test_state_dicts_of_any_wrapping(tmp_path: Path) -> None:
    state = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}
    for content in (state, wrapped, {"model": state}):
        torch.save(content, tmp_path / "weights.pth")
        found = weights.load_state(tmp_path / "weights.pth")
        assert all(torch.equal(found[name], state[name]) for name in state)


class Hostile:
    def __reduce__(self) -> tuple:
        return (os.system, ("touch /tmp/must-not-exist",))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for write in (
        lambda: torch.save(Hostile(), path),
        lambda: path.write_bytes(pickle.dumps(Hostile())),
    ):
        write()
        with pytest.raises(PipelineError, match=r"weights .*weights\.pth: "):
            weights.load_state(path)
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(PipelineError, match=r"damaged|more than tensors"):
        weights.load_state(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"other": torch.ones(1)}, buffer)
    (tmp_path / "weights.pth").write_bytes(buffer.getvalue())
    settings = WeightsSettings(weights=str(tmp_path / "weights.pth"))
    with pytest.raises(PipelineError, match="not the weights of this network"):
        weights.fill(torch.nn.Linear(2, 2), settings, tmp_path)
