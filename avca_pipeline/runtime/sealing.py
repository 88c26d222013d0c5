"""Takes the secrets out of addresses in a config, for commands and logs, and puts them back."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Callable
from typing import Any

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime.addresses import HIDDEN, shown


def sealed(value: Any) -> tuple[Any, dict[str, str]]:
    """Returns a value of JSON that can be shown, and what was taken out of it.

    In the place of an address with a secret stands what is `shown` of it, with the name of an
    environment variable behind it; the second value says what these variables are to hold. Another
    secret has another name, so that whoever compares values sees a difference.
    """
    secrets: dict[str, str] = {}

    def seal(text: str) -> str:
        if shown(text) == text:
            return text
        name = _variable(text)
        secrets[name] = text
        return f"{shown(text)}#{name}"

    return _each_text(seal, value), secrets


def unsealed(value: Any) -> Any:
    """Returns what `sealed` was given.

    Raises:
        PipelineError: a variable is not in the environment.
    """

    def unseal(text: str) -> str:
        match = _SEALED.search(text)
        if match is None:
            return text
        try:
            return os.environ[match[1]]
        except KeyError:
            raise PipelineError(
                f"{shown(text)}: the rest of this address is not shown; put the whole address into "
                f"the environment variable {match[1]}"
            ) from None

    return _each_text(unseal, value)


def without_secrets(value: Any) -> Any:
    """Returns a value of JSON that can be published: where an address had a secret, ``#…`` stands.

    Unlike `sealed`, it gives no means to try passwords.
    """
    return _each_text(lambda text: text if shown(text) == text else f"{shown(text)}{_CUT}", value)


def lacks_secrets(value: Any) -> bool:
    """Returns whether `without_secrets` has taken something out of a value."""
    return _CUT in json.dumps(value, ensure_ascii=False)


_CUT = f"#{HIDDEN}"
_SEALED = re.compile(r"://.*#(AVCA_ADDRESS_[0-9a-f]{12})$")


@functools.lru_cache
def _variable(address: str) -> str:
    # So slow that trying passwords until the name fits takes long.
    digest = hashlib.pbkdf2_hmac("sha256", address.encode(), b"avca_pipeline", 100_000)
    return f"AVCA_ADDRESS_{digest.hex()[:12]}"


def _each_text(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(change, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_text(change, item) for item in value]
    return value
