"""Says which keys of a request differ from those that a result was made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from avca_pipeline.artifacts.text_files import canonical_json

MAX_KEYS = 3
MAX_CHARACTERS = 60


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns in words which keys differ: ``"candidates.default.epochs is 14, was 10"``.

    Args:
        before: the request that a result was made with.
        now: the request that follows from the config.
    """
    was, becomes = dict(_flat(before)), dict(_flat(now))
    words = []
    for key in sorted(was.keys() | becomes.keys()):
        if key not in becomes:
            words.append(f"{key} is gone, was {_shown(was[key])}")
        elif key not in was:
            words.append(f"{key} is {_shown(becomes[key])}, was not there")
        elif was[key] != becomes[key]:
            words.append(f"{key} is {_shown(becomes[key])}, was {_shown(was[key])}")
    num_more = len(words) - MAX_KEYS
    more = [f"and {num_more} more"] if num_more > 0 else []
    return "; ".join([*words[:MAX_KEYS], *more])


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each key with its value; a key in a section has the section's name before it."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", inner


def _shown(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
