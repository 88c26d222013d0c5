"""What may be seen of an address."""

from __future__ import annotations

import json

import pytest

from avca_pipeline.addresses import redacted, shown

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
        ("clips/a?b.mp4", "clips/a?b.mp4"),
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
        (f"<{ADDRESS}>", "<https://host/a.mp4>"),
        ("https://host/a?sig=it'sabc123 and on", "https://host/a and on"),
        (f"{ADDRESS} and {ADDRESS}", "https://host/a.mp4 and https://host/a.mp4"),
        ("no address, 3:4", "no address, 3:4"),
    ],
)
def test_what_is_shown_of_a_text(text: str, seen: str) -> None:
    assert redacted(text) == seen


def test_json_stays_json() -> None:
    value = {"weights": ADDRESS, "proxy": "http://me:hunter2@proxy:3128", "seed": 0}
    text = redacted(json.dumps(value))
    assert json.loads(text) == {
        "weights": "https://host/a.mp4",
        "proxy": "http://proxy:3128",
        "seed": 0,
    }
    assert not any(secret in text for secret in SECRETS)
