"""Class names as words for a sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.published.class_names import class_key
from avca_pipeline.published.lists import read_names

WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
CAPITALISED = re.compile(r"[A-Z][a-z]+")


def tidy(class_name: str) -> str:
    """Returns a class name as words: ``"ApplyEyeMakeup"`` becomes ``"apply eye makeup"``.

    Underscores become spaces and capitalised words lose their capital; words of capitals, such as
    ``BMX``, stay as they are. A name of symbols alone stays what it is.
    """
    name = unicodedata.normalize("NFC", class_name)
    words = WORD_BEGINS.sub(" ", name.replace("_", " ")).split()
    spelled = [word.lower() if CAPITALISED.fullmatch(word) else word for word in words]
    return " ".join(spelled) or name


def spellings(class_names: Sequence[str], names: Path | None) -> list[str]:
    """Returns how each class is called in a sentence.

    Args:
        class_names: of the dataset.
        names: a CSV with the columns ``original`` and ``manual``. A class that is ``original``
            there is called ``manual``; any other one by its tidy name.

    Raises:
        FormatError: the file is not such a CSV.
    """
    pairs = read_names(names) if names else []
    manual_of = {class_key(original): manual for original, manual in pairs}
    return [manual_of.get(class_key(name), tidy(name)) for name in class_names]
