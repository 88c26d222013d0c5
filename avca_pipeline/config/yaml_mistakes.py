"""Mistakes in the form of a YAML file in plain words: the line, what is wrong, and what to do."""

from __future__ import annotations

import re

import yaml

PROBLEMS = {
    r"expected ',' or '\]'": "a list in square brackets lacks a ',' or its ']'; add it",
    r"expected ',' or '\}'": "a mapping in braces lacks a ',' or its '}'; add it",
    r"found character '\\t'": "a tab begins here; indent with spaces",
    r"found character '(.)'": "a text begins with {0}; put it in quotes",
    r"mapping values are not allowed": (
        "a ':' stands where no key may stand; correct the indentation, or put a text that has "
        "': ' in it in quotes"
    ),
    r"found undefined alias '(.*)'": (
        "*{0} refers to &{0}, which is not above it; put a text that begins with '*' in quotes"
    ),
    r"but found another document": "'---' begins a second document; remove it",
    r"expected <block end>": "the indentation differs from that of the lines above; correct it",
    r"could not find expected ':'": "a key has no ':' after it; add it",
    r"found unexpected end of stream": "a quotation mark has no second one; add it",
    r"could not determine a constructor": "'!' begins a tag, which no config needs; remove it",
}
"""What pyyaml says, as a regular expression, and the same in plain words with what to do."""


def explained(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Returns the number of the line, from 1, where a text is no YAML, and what to do about it.

    Args:
        error: what pyyaml raised.
        text: what it read.
    """
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, "a control character stands here; remove it"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    problem = str(getattr(error, "problem", None) or error)
    for pattern, words in PROBLEMS.items():
        if match := re.search(pattern, problem):
            return line, words.replace("{0}", match[match.lastindex or 0][:50])
    return line, f"{' '.join(problem.split())[:200]}; correct the line"
