"""What `avca serve` refuses before it serves, and whom its server answers elsewhere than here."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from avca_pipeline import PipelineError, cli
from avca_pipeline.commands import serve
from avca_pipeline.web.guard import Guard


def scope(host: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    named = {"host": host, **headers}
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return {"type": "http", "method": method, "headers": encoded}


def test_without_the_packages_a_line_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not installed
    assert cli.main(["serve", "--run", "none"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs the package uvicorn; pip install 'avca_pipeline[web]'" in line


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", None), ("192.0.2.1", 0), ("no such host", 0), ("a" * 300, 0)]
)
def test_an_address_that_cannot_be_used_is_one_line(host: str, port: int | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1] if port is None else port
        with (
            pytest.raises(
                PipelineError, match=r"--host .* cannot be used \(.+\); name another"
            ) as e,
            serve._listening(host, port),
        ):
            pass
    assert len(e.value.lines) == 1


@pytest.mark.parametrize("value", ["-1", "65536", "x", "1.5"])
def test_a_port_is_a_number_of_one(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--run", "none", "--port", value])
    assert "expected a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x"])
def test_a_length_is_above_nothing(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--run", "none", "--max-duration", value])
    assert "expected a number above 0" in capsys.readouterr().err


def test_a_server_for_others_answers_to_its_name_and_to_addresses() -> None:
    """No name of another site can be made to stand for a bare address."""
    guard = Guard(lambda *_: None, {"box.example"}, is_local=False)  # type: ignore[arg-type]
    for host in ("192.0.2.1:80", "[2001:db8::1]", "BOX.example:8000", "127.0.0.1"):
        assert not guard.why_refused(scope(host)), host
        assert not guard.why_refused(scope(host, "POST", origin=f"http://{host}")), host
    for host in ("evil.example", "box.example.evil.example", "box.example/", "", "[box.example]"):
        assert guard.why_refused(scope(host)), host
    assert guard.why_refused(scope("192.0.2.1", "POST", origin="http://192.0.2.2"))
    twice = scope("box.example")
    twice["headers"] += twice["headers"]
    assert guard.why_refused(twice)
