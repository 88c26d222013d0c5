"""Names of classes, which lists, archives and vectors spell in different ways."""

from __future__ import annotations

import unicodedata

VARIATION_SELECTORS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))


def class_key(name: str) -> str:
    """Returns the key under which all spellings of one class meet: its letters and digits.

    ``HandStandPushups`` and ``Handstand Pushups`` are one class; names are not joined by likeness.
    Accents and vowel signs belong to their letters, whether they are written as one character with
    it (NFC) or as one of their own (NFD, as macOS does). A name of symbols alone is its own key.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    return "".join(words(folded)) or folded.strip()


def words(name: str) -> list[str]:
    """Returns the stretches of letters and digits in a name, with the marks on them."""
    text = ""
    for char in name:
        # Variation selectors are marks to Unicode, and say how the sign before them looks.
        is_mark = unicodedata.category(char)[0] == "M" and char not in VARIATION_SELECTORS
        is_part = char.isalnum() or (is_mark and not text.endswith(" ") and text != "")
        text += char if is_part else " "
    return text.split()
