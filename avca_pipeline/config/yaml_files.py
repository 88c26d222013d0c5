"""Reads YAML that says one thing: no key twice, nothing that grows, nothing that runs.

Snakemake reads the same files by itself and silently takes the last of two equal keys, so that
the workflow has them read here too.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from avca_pipeline.artifacts.text_files import parse_json
from avca_pipeline.errors import FormatError, PipelineError, abbreviated

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
"""How many values a file may stand for once its aliases are written out."""
TEMPLATE = "__use_yte__"
"""With this key Snakemake takes a file for a template and runs the Python in it."""


def read(path: Path) -> Any:
    """Returns what a YAML file says.

    Raises:
        FormatError: it cannot be read, is no YAML, gives a key twice, or stands for more values
            than any config has.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes, which no config needs")
        value = _value(content.decode("utf-8-sig"))
    except RecursionError:
        raise FormatError(f"{path}: cannot be read as YAML (it is nested too deeply)") from None
    except PipelineError as error:
        raise FormatError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except Exception as error:  # Dates and numbers that are none make the loader raise anything.
        words = " ".join(str(error).split())
        raise FormatError(f"{path}: cannot be read as YAML ({words})") from error
    if isinstance(value, dict) and TEMPLATE in value:
        raise FormatError(f"{path}: {TEMPLATE}: templates run code; write the values out")
    return value


def _value(text: str) -> Any:
    with contextlib.suppress(json.JSONDecodeError):  # YAML admits no tabs, which JSON may have.
        return parse_json(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # Before merged mappings (<<) are put in, whose keys may well be given again.
        seen: set[Hashable] = set()
        for key_node, _ in node.value if id(node) not in self._checked else ():
            is_merge = key_node.tag == "tag:yaml.org,2002:merge"
            key = "<<" if is_merge else self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise PipelineError(f"line {key_node.start_mark.line + 1}: a key must be a word")
            if key in seen:
                raise PipelineError(
                    f"line {key_node.start_mark.line + 1}: the key {abbreviated(key)} "
                    "is given twice; remove one of the two"
                )
            seen.add(key)
        self._checked.add(id(node))
        return super().construct_mapping(node, deep)

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()


def _count(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """Returns how many values a node stands for once aliases are written out."""
    if id(node) in open_nodes:
        raise ValueError("an alias refers to what it is part of")
    if id(node) not in known:
        open_nodes.add(id(node))
        number = 1
        if isinstance(node, yaml.SequenceNode):
            number += sum(_count(item, known, open_nodes) for item in node.value)
        elif isinstance(node, yaml.MappingNode):
            number += sum(_count(item, known, open_nodes) for pair in node.value for item in pair)
        open_nodes.discard(id(node))
        if number > MAX_NODES:
            raise ValueError(f"it stands for more than {MAX_NODES} values, which no config needs")
        known[id(node)] = number
    return known[id(node)]
