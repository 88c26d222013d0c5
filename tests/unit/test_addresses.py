"""What may be seen of an address."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from avca_pipeline import cli
from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime.addresses import redacted, shown
from avca_pipeline.runtime.sealing import sealed, unsealed

SECRETS = ("hunter2", "AKIA", "abc123")


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("https://host/a/b.mp4", "https://host/a/b.mp4"),
        ("https://me:hunter2@host:8443/a.mp4", "https://host:8443/a.mp4"),
        ("https://hunter2@host/a.mp4", "https://host/a.mp4"),
        ("https://me:hunter2@x@host/a.mp4", "https://host/a.mp4"),
        ("https://host/a.mp4?X-Amz-Signature=abc123&X-Amz-Credential=AKIA", "https://host/a.mp4"),
        ("https://host/a.mp4?token=abc 123 hunter2", "https://host/a.mp4"),
        ("https://host/a.mp4#hunter2", "https://host/a.mp4"),
        ("https://host?sig=hunter2", "https://host"),
        ("HTTPS://me:hunter2@host/a", "HTTPS://host/a"),
        ("http://me:hunter2@[::1]:80/a", "http://[::1]:80/a"),
        ("http://me:hun/hunter2@host/a", "http://…"),
        ("http://me:hun?hunter2@host/a", "http://…"),
        ("http://me:hun#hunter2@host/a", "http://…"),
        ("s3://AKIA:hunter2@bucket/a", "s3://bucket/a"),
        ("https:/me:hunter2@host/a.mp4?token=abc123", "https:/host/a.mp4"),
        ("ftp://me:hunter2@host/a.mp4", "ftp://host/a.mp4"),
        ("clips/a?b.mp4", "clips/a?b.mp4"),
        ("C:/me:you@home/a.mp4?", "C:/me:you@home/a.mp4?"),
        ("/data/50% off.mp4", "/data/50% off.mp4"),
    ],
)
def test_what_is_shown_of_an_address(address: str, seen: str) -> None:
    assert shown(address) == seen


ADDRESS = "https://me:hunter2@host/a.mp4?token=abc123"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (f"{ADDRESS}: HTTP 403", "https://host/a.mp4: HTTP 403"),
        (f"found '{ADDRESS}', sorry", "found 'https://host/a.mp4', sorry"),
        (f"see ({ADDRESS}).", "see (https://host/a.mp4)."),
        (
            "/data/https:/me:hunter2@host/a.mp4: no such file",
            "/data/https:/host/a.mp4: no such file",
        ),
        (f"<{ADDRESS}>", "<https://host/a.mp4>"),
        ("https://host/a?sig=it'sabc123 and on", "https://host/a and on"),
        (f"{ADDRESS} and {ADDRESS}", "https://host/a.mp4 and https://host/a.mp4"),
        ("no address, 3:4", "no address, 3:4"),
    ],
)
def test_what_is_shown_of_a_text(text: str, seen: str) -> None:
    assert redacted(text) == seen


def test_whatever_is_said_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """Also by those who did not think of it."""
    logging.getLogger("avca_pipeline.fetching").info(f"downloading {ADDRESS}")
    assert capsys.readouterr().err == "downloading https://host/a.mp4\n"
    assert str(PipelineError(f"{ADDRESS}: no such file")) == "https://host/a.mp4: no such file"
    named = PipelineError(f"{Path(ADDRESS)}: no such file")
    assert str(named) == "https:/host/a.mp4: no such file"


def test_json_stays_json() -> None:
    value = {"weights": ADDRESS, "proxy": "http://me:hunter2@proxy:3128", "seed": 0}
    text = redacted(json.dumps(value))
    assert json.loads(text) == {
        "weights": "https://host/a.mp4",
        "proxy": "http://proxy:3128",
        "seed": 0,
    }
    assert not any(secret in text for secret in SECRETS)


SETTINGS = {
    "weights": ADDRESS,
    "plain": "https://host/a.mp4",
    "path": "/data/a#b?c",
    "nested": [{"address": "https://tok@host/{id}", "seed": 0, "none": None}],
}


def test_what_is_sealed_can_be_shown_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    value, secrets = sealed(SETTINGS)
    assert len(secrets) == 2
    text = json.dumps(value)
    assert not any(secret in text for secret in (*SECRETS, "tok@"))
    assert value["weights"].startswith("https://host/a.mp4#AVCA_ADDRESS_")
    assert value["nested"][0]["address"].startswith("https://host/{id}#AVCA_ADDRESS_")
    assert {key: value[key] for key in ("plain", "path")} == {
        key: SETTINGS[key] for key in ("plain", "path")
    }
    with pytest.raises(PipelineError, match=r"https://host/.*environment variable AVCA_ADDRESS_"):
        unsealed(value)
    for name, secret in secrets.items():
        monkeypatch.setenv(name, secret)
    assert unsealed(value) == SETTINGS


def test_another_secret_is_another_value() -> None:
    """So that what was made with it is made anew; the same one is the same in every process."""
    one, again, other = (
        sealed({"weights": f"https://host/a?version={version}"})[0] for version in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_a_command_takes_what_is_sealed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    value, secrets = sealed({"plugin": "table", "settings": {"path": ADDRESS}, "num_shards": 1})
    command = ["manifest", "--settings", json.dumps(value)]
    command += ["--out", str(tmp_path / "a"), "--shards", str(tmp_path / "b")]
    assert cli.main(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "avca manifest: error: " in line
    assert next(iter(secrets)) in line
    monkeypatch.setenv(*next(iter(secrets.items())))
    assert cli.main(command) == 1  # there is no such table; the command has understood its name
    assert "AVCA_ADDRESS" not in capsys.readouterr().err
