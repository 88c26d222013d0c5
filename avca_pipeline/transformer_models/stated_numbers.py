"""Numbers that the files of a model state, which may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError, abbreviated

LARGEST = 1e100
"""No number is as large; the library says 1e30 where there is no limit."""


def whole_number(folder: Path, key: str, value: Any, least: int = 1) -> int:
    """Returns a whole number.

    Args:
        folder: with the model's files, for the message.
        key: of the number in the files, for the message.
        value: that the key has.
        least: the smallest number that makes sense.

    Raises:
        PipelineError: it is no whole number, or less than that.
    """
    if not _is_number(value) or value != int(value) or value < least:
        raise PipelineError(
            f"{folder}: {key} is {abbreviated(value)}; a whole number of at least {least} is "
            "needed; correct the model's files"
        )
    return int(value)


def positive_number(folder: Path, key: str, value: Any) -> float:
    """Returns a number above 0, see `whole_number`.

    Raises:
        PipelineError: it is no such number.
    """
    if not _is_number(value) or value <= 0:
        raise PipelineError(
            f"{folder}: {key} is {abbreviated(value)}; a number above 0 is needed; correct the "
            "model's files"
        )
    return float(value)


def three_numbers(folder: Path, key: str, value: Any) -> tuple[float, float, float]:
    """Returns a number for each of red, green and blue, see `whole_number`.

    Raises:
        PipelineError: it is no list of three numbers.
    """
    numbers = list(value) if isinstance(value, list | tuple) else []
    if len(numbers) != 3 or not all(map(_is_number, numbers)):
        raise PipelineError(
            f"{folder}: {key} is {abbreviated(value)}; three numbers are needed, for red, green "
            "and blue; correct the model's files"
        )
    red, green, blue = (float(number) for number in numbers)
    return red, green, blue


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -LARGEST < value < LARGEST
