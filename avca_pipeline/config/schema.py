"""The JSON Schema of a config: which keys there are, what they mean, and which values they take.

An editor shows it while a config is written. It says what the models say; what cannot be said of a
single key (names that refer to each other, settings that exclude each other) only `parse` checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from avca_pipeline import registry
from avca_pipeline.config.entries import entry_model
from avca_pipeline.config.names import MAX_NAME, NAME
from avca_pipeline.config.sections import Applied, Experiment, FeatureSet, ImportedFeatures
from avca_pipeline.config.typed import Config
from avca_pipeline.registry import Kind
from avca_pipeline.settings import descriptions

Schema = dict[str, Any]

DESCRIPTION = "What to run: which clips, features, splits and methods, and in which combinations."
DIALECT = "https://json-schema.org/draft/2020-12/schema"
WHOLE_NUMBER = r"^[-+]?[0-9][0-9_]*$"
NUMBER = r"^[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$"
"""A number that YAML takes for a text: ``1e-3``, because it has no point."""


def build() -> Schema:
    """Returns the schema of a config with all plugins that are installed."""
    definitions: Schema = {}
    whole = _schema_of(Config, "", definitions)
    properties = whole["properties"]
    for kind in registry.KINDS:
        _define_plugins(kind, definitions)
        properties[kind] |= _section({"$ref": f"#/$defs/{kind}"}) | {
            "properties": {plugin: _default_plugin(kind, plugin) for plugin in registry.names(kind)}
        }
    sections: dict[str, type[BaseModel]]
    sections = {"imported": ImportedFeatures, "feature_sets": FeatureSet, "apply": Applied}
    for section, settings in sections.items():
        definitions[section] = _schema_of(settings, section, definitions)
        properties[section] |= _section({"$ref": f"#/$defs/{section}"})
    for section in ("backbones", "imported", "apply"):
        properties[section]["type"] = ["object", "null"]
        del properties[section]["minProperties"]
    definitions["grid"] = _grid(definitions)
    a_grid = {"$ref": "#/$defs/grid"}
    grids = {"type": "array", "items": a_grid, "minItems": 1}
    properties["experiment"] |= {"anyOf": [a_grid, grids]}
    whole |= {"description": DESCRIPTION, "$defs": dict(sorted(definitions.items()))}
    tidied: Schema = _tidied(whole)
    return {"$schema": DIALECT, "title": "Config of avca_pipeline", **tidied}


class _Generator(GenerateJsonSchema):
    """Says what the models accept beyond the types that are written in them."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        """Returns the schema of settings; an empty value stands for settings with defaults."""
        written = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for key, text in descriptions(model).items():
            written["properties"][key]["description"] = text
        return written if written.get("required") else written | {"type": ["object", "null"]}

    def int_schema(self, schema: core_schema.IntSchema) -> Schema:
        """Returns the schema of a whole number."""
        text = {"type": ["integer", "string"], "pattern": WHOLE_NUMBER}
        return super().int_schema(schema) | text

    def float_schema(self, schema: core_schema.FloatSchema) -> Schema:
        """Returns the schema of a number."""
        return super().float_schema(schema) | {"type": ["number", "string"], "pattern": NUMBER}


def _schema_of(model: type[BaseModel], name: str, definitions: Schema) -> Schema:
    """Returns the schema of a model, and adds to the definitions what it refers to.

    Args:
        model: the model.
        name: stands before the names of its definitions; other models have definitions of the
            same names.
        definitions: receives them.
    """
    prefix = f"{name}." if name else ""
    schema = model.model_json_schema(
        ref_template=f"#/$defs/{prefix}{{model}}", schema_generator=_Generator
    )
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[prefix + inner] = definition
    return schema


def _section(entry: Schema) -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{NAME.pattern}$", "maxLength": MAX_NAME},
        "additionalProperties": entry,
    }


def _define_plugins(kind: Kind, definitions: Schema) -> None:
    """Adds a definition of each plugin's entry, and one that is chosen among by ``plugin``."""
    plugins = registry.names(kind)
    for plugin in plugins:
        settings = registry.load(kind, plugin).Settings
        entry = _schema_of(entry_model(kind, settings), f"{kind}.{plugin}", definitions)
        entry["properties"]["plugin"] |= {"const": plugin}
        required = [key for key in entry.pop("required") if key != "plugin"]
        if kind == "models":
            entry["properties"]["search"] |= _search(f"{kind}.{plugin}", settings.model_fields)
        entry |= {"required": required} if required else {"type": ["object", "null"]}
        definitions[f"{kind}.{plugin}"] = entry
    for name, definition in definitions.items():
        keys = definition.get("properties", {})
        if name.startswith(f"{kind}.") and {"plugin", "settings"} <= keys.keys():
            # A plugin that is made of others of its kind.
            keys["plugin"] |= {"enum": plugins}
            definition["allOf"] = [
                _if_plugin(
                    plugin, {"properties": {"settings": {"$ref": f"#/$defs/{kind}.{plugin}"}}}
                )
                for plugin in plugins
            ]
    chosen = [_if_plugin(plugin, {"$ref": f"#/$defs/{kind}.{plugin}"}) for plugin in plugins]
    definitions[kind] = {
        "type": "object",
        "required": ["plugin"],
        "properties": {"plugin": {"enum": plugins}},
        "allOf": chosen,
    }


def _if_plugin(plugin: str, schema: Schema) -> Schema:
    """Returns a schema that holds for an entry of a plugin alone."""
    return {"if": {"properties": {"plugin": {"const": plugin}}}, "then": schema}


def _default_plugin(kind: Kind, plugin: str) -> Schema:
    """Returns the schema of an entry that has the name of a plugin and may leave out ``plugin``."""
    return {
        "if": {"type": "object", "required": ["plugin"]},
        "then": {"$ref": f"#/$defs/{kind}"},
        "else": {"$ref": f"#/$defs/{kind}.{plugin}"},
    }


def _search(entry: str, keys: Iterable[str]) -> Schema:
    """Returns the schema of lists of values for some of the keys of an entry's definition."""
    lists = {
        key: {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": f"#/$defs/{entry}/properties/{key}"},
        }
        for key in keys
    }
    return {"type": ["object", "null"], "properties": lists, "additionalProperties": False}


def _grid(definitions: Schema) -> Schema:
    grid = _schema_of(Experiment, "grid", definitions)
    for values in grid["properties"].values():
        values |= {"minItems": 1, "uniqueItems": True}
    return grid


def _tidied(schema: Any) -> Any:
    """Returns a schema without titles, and with each description in one line of Markdown."""
    if isinstance(schema, list):
        return [_tidied(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "description" and isinstance(value, str):
            tidied[key] = " ".join(value.split()).replace("``", "`")
        else:
            tidied[key] = _tidied(value)
    return tidied
