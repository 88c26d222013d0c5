"""From the errors that pydantic reports to one line for each mistake of a user."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from avca_pipeline.errors import abbreviated
from avca_pipeline.settings import REFUSED, SHA256, nearest

MAX_LINES = 20
MAX_KEY = 100
EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number that a network or a file could have",
    "int_type": "a whole number",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list of values",
    "literal_error": "{expected}",
    "model_type": "keys and values",
    "path_type": "a path",
    "string_pattern_mismatch": "{pattern}",
    "string_type": "a text",
    "too_short": "a list of {min_length} or more values",
    "tuple_type": "a list of values",
}
"""What should stand there, for each type of error of pydantic that a config can cause."""
PATTERNS = {SHA256: "the 64 digits of a SHA-256, 0-9 and a-f in lower case"}
"""What a pattern stands for."""


def lines(error: ValidationError, where: str = "") -> list[str]:
    """Returns one line for each mistake: its key, what was found, and what would be right.

    Args:
        error: what a model refused.
        where: the key of what the model describes; nothing for a whole config.
    """
    all_details = error.errors(include_url=False)
    sections = {
        details["loc"][:size] for details in all_details for size in range(len(details["loc"]))
    }
    # A list whose values are wrong is called too short as well.
    errors = [
        details
        for details in all_details
        if details["type"] != "too_short" or details["loc"] not in sections
    ]
    return list(dict.fromkeys(_line(details, where) for details in errors))


def shortened(mistakes: list[str]) -> list[str]:
    """Returns the first lines, and how many more there are: a long list can be wrong throughout."""
    if len(mistakes) <= MAX_LINES:
        return mistakes
    rest = len(mistakes) - MAX_LINES
    return [*mistakes[:MAX_LINES], f"{rest} more mistakes are not shown; correct these first"]


def _line(details: ErrorDetails, where: str) -> str:
    location = [part for part in details["loc"] if part != "[key]"]
    key = ".".join(filter(None, [where, *map(_key, location)])) or "config"
    return f"{key}: {_message(details)}"


def _message(details: ErrorDetails) -> str:
    kind, value = details["type"], details["input"]
    if kind == REFUSED:
        return details["msg"]
    if kind not in EXPECTED:
        message = details["msg"].removeprefix("Value error, ")
        shown = _shown(message, value)
        return f"{message} (found {shown})" if shown else message
    limits = details.get("ctx", {})
    if kind == "string_pattern_mismatch":
        pattern = limits["pattern"]
        limits = {"pattern": PATTERNS.get(pattern, f"a text that matches {pattern}")}
    expected = EXPECTED[kind].format_map({key: _plain(limits[key]) for key in limits})
    return f"expected {expected}, found {abbreviated(value)}{_hint(kind, expected, value)}"


def _hint(kind: str, expected: str, value: Any) -> str:
    """Returns how to correct a value, where that is more than what is expected."""
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", expected)
        if isinstance(value, bool) and {"on", "off", "yes", "no"} & set(choices):
            return "; put the word in quotes, because YAML reads it as true or false"
        hint = nearest(value, choices) if isinstance(value, str) and choices else ""
        return f"; {hint}" if hint.startswith("did you mean") else ""
    if kind in ("list_type", "tuple_type") and isinstance(value, str | int | float):
        return f"; write [{_list_item(value)}]"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    return ""


def _shown(message: str, value: Any) -> str:
    """Returns a value as a message shows it; of settings only the keys that the message names."""
    if not isinstance(value, dict):
        return abbreviated(value)
    words = set(re.findall(r"\w+", message))
    return ", ".join(f"{key}: {abbreviated(value[key])}" for key in value if key in words)


def _list_item(value: Any) -> str:
    """Returns a value as it may stand in a list of YAML: a text that YAML reads as one."""
    plain = _key(value)
    try:
        is_read_so = yaml.safe_load(f"[{plain}]") == [value]
    except Exception:  # The loader raises anything for malformed dates or numbers.
        is_read_so = False
    return plain if is_read_so else abbreviated(value)


def _plain(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _key(part: Any) -> str:
    text = part if isinstance(part, str) else abbreviated(part)
    return text if len(text) <= MAX_KEY else f"{text[:MAX_KEY]}…"
