"""Reads YAML safely: no key stands twice, no alias makes a file huge, and no code in it runs.

Snakemake reads the same files by itself and silently takes the last of two equal keys. So the
workflow reads them here first.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from avca_pipeline.artifacts.text_files import parse_json
from avca_pipeline.config import yaml_mistakes
from avca_pipeline.errors import FormatError, PipelineError, abbreviated

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
"""How many values a file may stand for once its aliases are written out."""
TEMPLATE = "__use_yte__"
"""With this key Snakemake takes a file for a template and runs the Python in it."""


def read(path: Path) -> Any:
    """Returns what a YAML file says.

    Raises:
        FormatError: the file cannot be read or is no YAML, a key stands twice in it, or it stands
            for more values than any config has.
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
    except Exception as error:  # The loader raises anything for malformed dates or numbers.
        words = " ".join(str(error).split())
        raise FormatError(f"{path}: cannot be read as YAML ({words})") from error
    if isinstance(value, dict) and TEMPLATE in value:
        raise FormatError(f"{path}: {TEMPLATE}: templates run code; write the values out")
    return value


def _value(text: str) -> Any:
    with contextlib.suppress(json.JSONDecodeError):  # JSON may have tabs, which YAML refuses.
        return parse_json(text)
    try:
        return _loaded(text)
    except yaml.YAMLError as error:
        line, words = yaml_mistakes.explained(error, text)
        raise PipelineError(f"line {line}: cannot be read as YAML: {words}") from error


def _loaded(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {}, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns a mapping.

        An alias gives the same node again. By then the mappings that it merges (``<<``) have been
        put into it, and their keys may stand twice; so a node is checked once.
        """
        if id(node) not in self._checked:
            self._check_keys(node)
            self._checked.add(id(node))
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Returns a value; one that is no date or number, though it looks like one, has a line."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            if isinstance(error, PipelineError) or not isinstance(node, yaml.ScalarNode):
                raise
            raise PipelineError(
                f"line {node.start_mark.line + 1}: cannot be read as YAML: "
                f"{abbreviated(node.value)} is no date or number; put it in quotes"
            ) from error

    def _check_keys(self, node: yaml.MappingNode) -> None:
        keys: set[Hashable] = set()
        for key_node, _ in node.value:
            line = f"line {key_node.start_mark.line + 1}"
            is_merge = key_node.tag == "tag:yaml.org,2002:merge"
            key = "<<" if is_merge else self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise PipelineError(f"{line}: a key must be a word")
            if key in keys:
                raise PipelineError(
                    f"{line}: the key {abbreviated(key)} is given twice; remove one of the two"
                )
            keys.add(key)


def _count_values(node: yaml.Node, counts: dict[int, int], open_nodes: set[int]) -> int:
    """Returns how many values a node stands for once aliases are written out.

    Args:
        node: a value, or a list or mapping of values.
        counts: receives the number of each node by its identity; an alias is counted once.
        open_nodes: identities of the nodes that this one is part of.

    Raises:
        ValueError: there are more than `MAX_NODES`, or an alias refers to what it is part of.
    """
    if id(node) in open_nodes:
        raise ValueError("an alias refers to what it is part of")
    if id(node) in counts:
        return counts[id(node)]
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    open_nodes.add(id(node))
    number = 1 + sum(_count_values(child, counts, open_nodes) for child in children)
    open_nodes.discard(id(node))
    if number > MAX_NODES:
        raise ValueError(f"it stands for more than {MAX_NODES} values, which no config needs")
    counts[id(node)] = number
    return number
