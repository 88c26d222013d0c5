"""Weights come whole and verified, from a real server on this machine, or not at all."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.server
import io
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import network_weights, pinned, web_files, weights
from avca_pipeline.fetching.weights import PublishedWeights, WeightsSettings

CONTENT = np.random.default_rng(0).bytes(3 * web_files.CHUNK_BYTES + 17)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


BREAKING = ("/breaks", "/no-ranges", "/stalls", "/another-part")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENT` in the way that the path asks for."""

    requests: list[str]
    goes_on = threading.Event()

    def do_GET(self) -> None:
        self.path = self.path.partition("?")[0]
        Handler.requests.append(self.headers.get("Range", ""))
        is_first, has_range = len(Handler.requests) == 1, "Range" in self.headers
        start = int(self.headers["Range"][6:-1]) if has_range else 0
        if self.path == "/absent" or (self.path == "/busy" and is_first):
            self.send_error(404 if self.path == "/absent" else 503)
            return
        if start and self.path != "/no-ranges":
            self.send_response(206)
            shift = 5 if self.path == "/another-part" and len(Handler.requests) == 2 else 0
            body = CONTENT[start + shift :]
            self.send_header("Content-Range", f"bytes {start + shift}-{len(CONTENT)}/*")
        else:
            self.send_response(200)
            body = bytes(len(CONTENT)) if self.path == "/wrong" else CONTENT
        claimed = len(body) // 2 if self.path == "/claims-less" and is_first else len(body)
        claimed = 2 * len(body) if self.path == "/claims-more" and is_first else claimed
        self.send_header("Content-Length", str(claimed))
        self.send_header("ETag", '"1"')
        self.end_headers()
        breaks = self.path in BREAKING and len(Handler.requests) < 3
        self.wfile.write(body[: len(body) // 2] if breaks else body)
        if self.path == "/stalls" and is_first:
            self.wfile.flush()
            Handler.goes_on.wait(30)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(web_files.time, "sleep", lambda _: None)
    monkeypatch.setattr(web_files, "TIMEOUT_S", 1.0)
    Handler.requests = []
    Handler.goes_on.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        Handler.goes_on.set()
        running.shutdown()


def located(address: str, cache: Path, sha256: str | None = None) -> tuple[Path, str]:
    return weights.obtain_weights(address, sha256, cache)


@pytest.mark.parametrize("path", ["/whole", "/busy", "/claims-more", "/claims-less", *BREAKING])
def test_download_ends_whole(server: str, path: str, tmp_path: Path) -> None:
    if path == "/claims-less":  # nothing but the checksum can tell, and the next try is whole
        with pytest.raises(PipelineError, match="SHA-256"):
            located(server + path, tmp_path, SHA256)
    found, sha256 = located(server + path, tmp_path, SHA256)
    assert sha256 == SHA256
    assert found.read_bytes() == CONTENT
    num_requests = len(Handler.requests)
    assert located(server + path, tmp_path, SHA256) == (found, SHA256)
    assert len(Handler.requests) == num_requests  # kept, not downloaded again
    if path == "/breaks":
        assert any(Handler.requests)  # asked for the rest only
    assert not list(tmp_path.glob("*.part"))


def test_several_jobs_download_once(server: str, tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: located(server + "/whole", tmp_path, SHA256), range(4)))
    assert len(set(found)) == 1
    assert len(Handler.requests) == 1


def test_what_is_not_there_is_said_at_once(server: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="HTTP 404"):
        located(server + "/absent", tmp_path)
    assert len(Handler.requests) == 1


@pytest.mark.parametrize("path", ["/whole", "/wrong"])
def test_wrong_content_is_not_kept(server: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=f"SHA-256 is [0-9a-f]*, expected {'0' * 64}"):
        located(server + path, tmp_path, "0" * 64)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_what_is_published_is_told_with_its_licence(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = PublishedWeights(server + "/whole", "not for sale", SHA256[:8])
    path, sha256 = weights.obtain_weights("published", None, tmp_path, published)
    assert sha256 == SHA256
    assert "not for sale" in capsys.readouterr().err
    path.unlink()
    pinned.pin_of(path).unlink()
    wrong = PublishedWeights(server + "/whole", "not for sale", "0" * 8)
    with pytest.raises(PipelineError, match=f"expected {'0' * 8}"):
        weights.obtain_weights("published", None, tmp_path, wrong)
    with pytest.raises(PipelineError, match="this backbone has none"):
        weights.obtain_weights("published", None, tmp_path)


def test_first_use_is_pinned(server: str, tmp_path: Path) -> None:
    path, _ = located(server + "/whole", tmp_path)
    path.write_bytes(b"changed on disk")
    with pytest.raises(PipelineError, match=f"expected {SHA256}"):
        located(server + "/whole", tmp_path)


def test_a_download_that_is_no_weights_is_neither_kept_nor_pinned(
    server: str, tmp_path: Path
) -> None:
    settings = WeightsSettings(weights=server + "/whole")
    with pytest.raises(PipelineError, match=r"damaged|more than tensors"):
        network_weights.load_weights(torch.nn.Linear(2, 2), settings, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=r"file/cache: cannot be written"):
        located("http://127.0.0.1:9/a", tmp_path / "file" / "cache")


def test_numpy_arrays_are_weights_too(tmp_path: Path) -> None:
    state = {"means": np.arange(3.0), "scale": np.float32(2)}
    for is_new in (False, True):
        torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=is_new)
        found = network_weights.read_state_dict(tmp_path / "a.pth")
        assert found["means"].tolist() == [0, 1, 2]
        assert float(found["scale"]) == 2


def test_the_classes_of_the_pretraining(tmp_path: Path) -> None:
    assert WeightsSettings().stated_classes() == ()
    assert WeightsSettings(weights="published").stated_classes() is None
    (tmp_path / "classes.txt").write_text("archery\n\n sea kayaking \n", encoding="utf-8")
    named = WeightsSettings(weights="a.pth", pretraining_classes=str(tmp_path / "classes.txt"))
    assert named.stated_classes() == ("archery", "sea kayaking")
    with pytest.raises(PipelineError, match=r"pretraining_classes: .*absent"):
        WeightsSettings(pretraining_classes=str(tmp_path / "absent")).stated_classes()


def test_state_dicts_of_any_wrapping(tmp_path: Path) -> None:
    state = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}
    for content in (state, wrapped, {"model": state}):
        torch.save(content, tmp_path / "weights.pth")
        found = network_weights.read_state_dict(tmp_path / "weights.pth")
        assert all(torch.equal(found[name], state[name]) for name in state)


class Hostile:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "must-not-exist"
    for write in (
        lambda: torch.save(Hostile(trace), path),
        lambda: path.write_bytes(pickle.dumps(Hostile(trace))),
    ):
        write()
        with pytest.raises(PipelineError, match=r"weights .*weights\.pth: "):
            network_weights.read_state_dict(path)
        assert not trace.exists()
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(PipelineError, match=r"damaged|more than tensors"):
        network_weights.read_state_dict(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"other": torch.ones(1)}, buffer)
    (tmp_path / "weights.pth").write_bytes(buffer.getvalue())
    settings = WeightsSettings(weights=str(tmp_path / "weights.pth"))
    with pytest.raises(PipelineError, match="not the weights of this network"):
        network_weights.load_weights(torch.nn.Linear(2, 2), settings, tmp_path)


def local(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "mine.pth"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_local_weights_are_what_the_config_says(tmp_path: Path) -> None:
    path, sha256 = local(tmp_path)
    for right in (sha256, None):
        settings = WeightsSettings(weights=str(path), sha256=right)
        assert network_weights.load_weights(torch.nn.Linear(2, 3), settings, tmp_path) == sha256
    wrong = ("0" if sha256[0] != "0" else "1") + sha256[1:]
    for other in (wrong, sha256[:-1] + ("0" if sha256[-1] != "0" else "1")):
        settings = WeightsSettings(weights=str(path), sha256=other)
        with pytest.raises(PipelineError, match=f"SHA-256 is {sha256}, expected {other}"):
            network_weights.load_weights(torch.nn.Linear(2, 3), settings, tmp_path)
    assert not (tmp_path / "mine.pth.sha256").exists()  # it is the user's own
    with pytest.raises(PipelineError, match=r"weights .*none\.pth: cannot be read"):
        located(str(tmp_path / "none.pth"), tmp_path)


def test_a_home_is_written_as_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sha256 = local(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert located("~/mine.pth", tmp_path) == (path, sha256)


def test_of_what_is_known_about_a_checksum_all_counts(server: str, tmp_path: Path) -> None:
    """The config before the pin, the pin before the beginning that the authors publish."""
    published = PublishedWeights(server + "/whole", "free", SHA256[:8])
    path, _ = weights.obtain_weights("published", SHA256, tmp_path, published)
    assert not pinned.pin_of(path).exists()  # the config says it all
    weights.obtain_weights("published", None, tmp_path, published)
    assert pinned.pin_of(path).read_text() == SHA256 + "\n"
    longer = PublishedWeights(published.url, "free", SHA256[:7] + "x")
    assert weights.obtain_weights("published", None, tmp_path, longer) == (path, SHA256)  # pinned
    pinned.pin_of(path).unlink()
    with pytest.raises(PipelineError, match=f"expected {SHA256[:7]}x"):
        weights.obtain_weights("published", None, tmp_path, longer)
    with pytest.raises(PipelineError, match=f"expected {'0' * 64}"):
        weights.obtain_weights("published", "0" * 64, tmp_path, published)
    # A checksum that is whole must be equal, not only begin alike.
    pinned.pin_of(path).write_text(SHA256 + "0\n")
    with pytest.raises(PipelineError, match=f"expected {SHA256}0"):
        weights.obtain_weights("published", None, tmp_path, published)


def test_two_addresses_are_two_files(server: str, tmp_path: Path) -> None:
    """Also if their paths end alike, and whatever stands behind the path."""
    found = {located(server + path, tmp_path)[0] for path in ("/whole", "/whole?v=2", "/a/whole")}
    assert len(found) == 3
    assert {path.name.partition("-")[2] for path in found} == {"whole"}


def test_no_address_of_weights_is_shown_with_its_password(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = server.replace("://", "://me:hunter2@") + "/{}?token=hunter2"
    published = PublishedWeights(address.format("whole"), "free", SHA256[:8])
    weights.obtain_weights("published", None, tmp_path, published)
    for path, sha256 in (("absent", None), ("wrong", "0" * 64)):
        with pytest.raises(PipelineError) as caught:
            located(address.format(path), tmp_path, sha256)
        assert "hunter2" not in str(caught.value)
    assert "hunter2" not in "".join(capsys.readouterr())
    assert not [path for path in tmp_path.iterdir() if "hunter2" in path.name]


def test_a_read_only_cache_serves(server: str, tmp_path: Path) -> None:
    """What was downloaded and pinned before needs no lock and no new file."""
    located(server + "/whole", tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert len(before) == 2  # the file and its pin; no lock stays behind
    num_requests = len(Handler.requests)
    assert located(server + "/whole", tmp_path)[1] == SHA256
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert len(Handler.requests) == num_requests


def network() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(8, 64, 5), torch.nn.BatchNorm2d(64), torch.nn.Linear(400, 300)
    )


def random(seed: int) -> dict[str, torch.Tensor]:
    built = network()
    settings = WeightsSettings(seed=seed)
    assert network_weights.load_weights(built, settings, Path("nowhere")) == f"random:{seed}"
    assert not built.training
    assert not any(parameter.requires_grad for parameter in built.parameters())
    return built.state_dict()


def test_random_weights_are_drawn_from_their_seed() -> None:
    one, again, other = random(0), random(0), random(1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    drawn = [name for name in one if not torch.equal(one[name], other[name])]
    assert drawn == ["0.weight", "2.weight"]
    assert one["0.weight"].std().item() == pytest.approx((2 / (8 * 25)) ** 0.5, rel=0.02)
    assert one["2.weight"].std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not one["0.bias"].any()
    assert not one["2.bias"].any()
    assert torch.equal(one["1.weight"], torch.ones(64))


def test_what_a_file_puts_around_the_parameters(tmp_path: Path) -> None:
    """A prefix is taken off, a classifier's parameters are left out; nothing else may differ."""
    state = {
        "base.weight": torch.ones(3, 2),
        "base.bias": torch.zeros(3),
        "fc.weight": torch.ones(1),
    }
    torch.save(state, tmp_path / "a.pth")
    settings = WeightsSettings(weights=str(tmp_path / "a.pth"))
    built = torch.nn.Linear(2, 3)
    network_weights.load_weights(
        built, settings, tmp_path, prefix="base.", unused=lambda name: name == "fc.weight"
    )
    assert torch.equal(built.weight, torch.ones(3, 2))
    for more in ({"prefix": "base."}, {"unused": lambda name: name == "fc.weight"}):
        with pytest.raises(PipelineError, match="not the weights of this network"):
            network_weights.load_weights(torch.nn.Linear(2, 3), settings, tmp_path, **more)


def test_the_precision_of_the_settings() -> None:
    for precision, kind in (
        ("fp32", torch.float32),
        ("tf32", torch.float32),
        ("bf16", torch.bfloat16),
    ):
        built = torch.nn.Linear(2, 3)
        network_weights.load_weights(built, WeightsSettings(precision=precision), Path("nowhere"))
        assert built.weight.dtype == kind


def test_the_checksum_of_a_network_is_of_its_names_and_numbers() -> None:
    built = torch.nn.Linear(2, 3)
    before = network_weights.state_sha256(built)
    assert network_weights.state_sha256(torch.nn.Sequential(built)) != before
    built.weight.data[0, 0] += 1
    assert network_weights.state_sha256(built) != before


def test_a_checksum_of_random_weights_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="sha256 is given but weights are random"):
        WeightsSettings(sha256="0" * 64)
