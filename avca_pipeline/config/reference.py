"""What each key of a config means, in words: for ``avca explain`` and the reference page.

All of it is read off the schema, so that a plugin of another package is explained like ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from avca_pipeline import registry
from avca_pipeline.config import schema
from avca_pipeline.config.schema import Schema
from avca_pipeline.registry import Kind

DIGEST = r"^[0-9a-f]{64}$"
"""The pattern of a SHA-256 in the schema."""
WORDS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "nothing",
    "number": "number",
    "object": "keys with values",
    "string": "text",
}


@dataclass(frozen=True)
class Key:
    """One key of a config.

    Attributes:
        name: with the sections before it: ``models.avca.epochs``, ``limits.max_pixels``.
        text: what it is for, one paragraph.
        values: which values it takes, in words.
        default: its value where it is not written, as in a config; empty if there is none.
        is_required: whether it must be written.
    """

    name: str
    text: str
    values: str
    default: str
    is_required: bool


@dataclass(frozen=True)
class Section:
    """Keys that stand together: a section of a config, or the settings of a plugin in it.

    Attributes:
        name: ``limits``, or ``models.avca`` for the plugin ``avca`` of the section ``models``;
            empty for what stands in no section.
        text: what it is for, one paragraph.
        summary: of a plugin: what it is, in one line.
        place: where its keys stand in a config, such as ``models.<name>``.
        keys: its keys, those that must be written first.
        plugins: names of the plugins to choose among, of a section that takes plugins.
    """

    name: str
    text: str
    place: str
    keys: tuple[Key, ...] = ()
    plugins: tuple[str, ...] = ()
    summary: str = ""

    def place_of(self, key: Key) -> str:
        """Returns the section that one of its keys stands in, such as ``splits.<name>.audit``."""
        inner = key.name.removeprefix(f"{self.name}.").rpartition(".")[0]
        return f"{self.place}.{inner}" if inner and self.place else self.place


def sections() -> list[Section]:
    """Returns all that a config may say, in the order in which configs are written."""
    whole = schema.build()
    top = whole["properties"]
    alone = {name: part for name, part in top.items() if not _refers(part) and "type" in part}
    alone = {name: part for name, part in alone.items() if "object" not in part["type"]}
    required = whole["required"]
    found = [Section("", "Keys of no section.", "", _keys("", alone, required, whole))]
    for name, part in top.items():
        if name in registry.KINDS:
            found += _kind(name, part, whole)
        elif name not in alone:
            found.append(_plain(name, part, whole))
    return found


def _kind(name: Kind, part: Schema, whole: Schema) -> Iterator[Section]:
    """Yields a section that takes plugins, and the settings of each plugin."""
    plugins = tuple(part["properties"])
    place = f"{name}.<name>"
    yield Section(name, part.get("description", ""), place, plugins=plugins)
    for plugin in plugins:
        definition = whole["$defs"][f"{name}.{plugin}"]
        prefix = f"{name}.{plugin}"
        keys = {key: value for key, value in definition["properties"].items() if key != "plugin"}
        required = definition.get("required", [])
        text = definition.get("description", "")
        summary = (registry.load(name, plugin).__doc__ or "").strip().partition("\n")[0]
        own = _keys(prefix, keys, required, whole)
        yield Section(prefix, text, place, own, summary=summary)


def _plain(name: str, part: Schema, whole: Schema) -> Section:
    """Returns a section without plugins."""
    definition = _definition(name, part, whole)
    keys = _keys(name, definition["properties"], definition.get("required", []), whole)
    has_entries = "additionalProperties" in part and isinstance(part["additionalProperties"], dict)
    place = f"{name}.<name>" if has_entries else name
    return Section(name, part.get("description") or definition.get("description", ""), place, keys)


def _definition(name: str, part: Schema, whole: Schema) -> Schema:
    """Returns the definition of the keys of a section."""
    reference = part.get("$ref") or f"#/$defs/{'grid' if name == 'experiment' else name}"
    definition: Schema = _resolved(reference, whole)
    return definition


def _resolved(reference: str, whole: Schema) -> Any:
    """Returns what a reference within the schema stands for."""
    part: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def _refers(part: Schema) -> bool:
    return "$ref" in part or "anyOf" in part


def _keys(prefix: str, properties: Schema, required: list[str], whole: Schema) -> tuple[Key, ...]:
    """Returns the keys of a section, those that must be written first; keys of a key follow it."""
    found: list[Key] = []
    for name, part in properties.items():
        path = f"{prefix}.{name}" if prefix else name
        if "$ref" in part and "properties" in (inner := _resolved(part["$ref"], whole)):
            found += _keys(path, inner["properties"], inner.get("required", []), whole)
            continue
        text, default = part.get("description", ""), _default(part)
        found.append(Key(path, text, _values(part, whole), default, name in required))
    return tuple(sorted(found, key=lambda key: not key.is_required))


def _default(part: Schema) -> str:
    """Returns the default of a key as a config would say it; empty if there is none."""
    if "default" not in part:
        return ""
    default = part["default"]
    return WORDS["null"] if default is None else json.dumps(default, ensure_ascii=False)


def _values(part: Schema, whole: Schema) -> str:
    """Returns in words which values a key takes."""
    if "$ref" in part:
        return _values(_resolved(part["$ref"], whole), whole)
    if "enum" in part:
        return " or ".join(str(value) for value in part["enum"])
    if "anyOf" in part:
        return " or ".join(_values(choice, whole) for choice in part["anyOf"])
    kinds = part.get("type", "object")
    return _values_of_kind(kinds if isinstance(kinds, str) else kinds[0], part, whole)


def _values_of_kind(kind: str, part: Schema, whole: Schema) -> str:
    """Returns in words which values of a kind of JSON a key takes."""
    if kind == "array":
        return f"list of: {_values(part.get('items', {}), whole)}"
    if kind == "object" and isinstance(part.get("additionalProperties"), dict):
        return f"names, each with: {_values(part['additionalProperties'], whole)}"
    if kind == "object" and part.get("properties"):
        return "some of the other keys, each with a list of values"
    if kind == "string":
        if part.get("pattern") == DIGEST:
            return "64 hexadecimal digits"
        return "path" if part.get("format") == "path" else WORDS[kind]
    return WORDS[kind] + _limits(part)


def _limits(part: Schema) -> str:
    """Returns in words how large or small a number may be, with a space before it."""
    words = [
        (f"{name} {_shown(part[key])}")
        for key, name in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
            ("multipleOf", "a multiple of"),
        )
        if key in part
    ]
    return "".join(f" {word}" for word in words[:2]) + "".join(f", {word}" for word in words[2:])


def _shown(number: float) -> str:
    return f"{number:,}"
