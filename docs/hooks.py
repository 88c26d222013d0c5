"""What the documentation site takes from the code: the texts of keys, commands and functions."""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import avca_pipeline
from avca_pipeline.cli.commands import COMMANDS
from avca_pipeline.cli.options import parser
from avca_pipeline.config.reference import Key, Section, sections

MARK = re.compile(r"^<!-- the reference of (?P<what>.*) -->$", re.MULTILINE)
PARTS = ("Args", "Attributes", "Raises", "Returns", "Yields")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts a reference in the place of its mark; MkDocs calls it for each page."""
    return MARK.sub(lambda found: REFERENCES[found["what"]](), markdown)


def of_the_config() -> str:
    """Returns all keys of a config, in Markdown."""
    return "\n\n".join(_section(section) for section in sections())


def _section(section: Section) -> str:
    is_plugin = "." in section.name
    title = f"`{section.name}`" if section.name else "Without a section"
    lines = [f"{'###' if is_plugin else '##'} {title}", section.summary, section.text]
    if section.plugins:
        lines.append("Plugins: " + ", ".join(f"`{plugin}`" for plugin in section.plugins) + ".")
    if section.keys:
        if section.name and not is_plugin:
            lines.append(f"Keys of `{section.place}`:")
        lines.append("\n".join(["| key | values | default | meaning |", "|---|---|---|---|"]))
        lines[-1] += "".join(f"\n{_row(key, section.name)}" for key in section.keys)
    return "\n\n".join(lines)


def _row(key: Key, section: str) -> str:
    name = key.name.removeprefix(f"{section}.") if section else key.name
    default = f"`{key.default}`" if key.default else "must be written" if key.is_required else ""
    cells = (f"`{name}`", key.values, default, key.text)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def of_the_commands() -> str:
    """Returns all commands with their options, in Markdown."""
    parts = next(
        action.choices
        for action in parser(COMMANDS)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return "\n\n".join(
        f"## `avca {name}`\n\n{part.description}\n\n```text\n{_help(part)}\n```"
        for name, part in parts.items()
    )


def _help(part: argparse.ArgumentParser) -> str:
    """Returns how a command is called, at a width that does not depend on the terminal."""
    part.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=88)
    part.description = None
    return part.format_help().strip()


def of_python() -> str:
    """Returns the public functions and classes of the package, in Markdown."""
    return "\n\n".join(_public(name, getattr(avca_pipeline, name)) for name in _names())


def _names() -> list[str]:
    """Returns functions first, then the classes of what they return."""
    return sorted(avca_pipeline.__all__, key=lambda name: (name[0].isupper(), name))


def _public(name: str, thing: Any) -> str:
    if not inspect.isclass(thing):
        return f"## `{name}`\n\n{_signature(name, thing)}\n\n{_text(thing)}"
    parts = [f"## `{name}`", _text(thing)]
    if issubclass(thing, Exception):
        return "\n\n".join(parts)
    for method, call in _methods(thing):
        parts += [f"### `{name}.{method}`", _signature(method, call), _text(call)]
    return "\n\n".join(parts)


def _methods(thing: type) -> Iterator[tuple[str, Any]]:
    """Yields what a class has of its own: methods and properties with a text."""
    for name, value in vars(thing).items():
        call = value.fget if isinstance(value, property) else value
        if not name.startswith("_") and inspect.isfunction(call) and call.__doc__:
            yield name, value


def _signature(name: str, call: Any) -> str:
    if isinstance(call, property):
        kind = inspect.signature(call.fget).return_annotation
        return f"```python\n{name}: {kind}\n```"
    signature = inspect.signature(call)
    own = [value for key, value in signature.parameters.items() if key != "self"]
    shown = [_parameter(value) for value in own]
    marked = _with_star(own, shown)
    inside = ", ".join(marked)
    if len(inside) > 70:
        inside = "\n" + "".join(f"    {part},\n" for part in marked)
    return f"```python\n{name}({inside}) -> {signature.return_annotation}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    """Returns a parameter as it is written in the code."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars.get(parameter.kind, '')}{parameter.name}: {parameter.annotation}{default}"


def _with_star(parameters: list[inspect.Parameter], shown: list[str]) -> list[str]:
    """Returns parameters with a star before those that must be named."""
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.KEYWORD_ONLY not in kinds:
        return shown
    first = kinds.index(inspect.Parameter.KEYWORD_ONLY)
    return [*shown[:first], "*", *shown[first:]]


def _text(thing: Any) -> str:
    """Returns a docstring in Markdown: its parts as lists."""
    lines = inspect.cleandoc(thing.__doc__ or "").replace("``", "`").splitlines()
    made: list[str] = []
    block: list[str] = []
    for line in [*lines, "."]:
        heading = line.removesuffix(":")
        if (line.endswith(":") and heading in PARTS) or line == ".":
            made += _part(block)
            block = []
        block.append(line)
    return "\n".join(made)


def _part(block: list[str]) -> list[str]:
    """Returns the lines of one part of a docstring, in Markdown."""
    if not block or block[0].removesuffix(":") not in PARTS:
        return block
    lines = textwrap.dedent("\n".join(block[1:])).strip().splitlines()
    if block[0].startswith(("Returns", "Yields")):
        return ["", f"**{block[0][:-1]}:** " + " ".join(lines), ""]
    items = [re.sub(r"^([*\w]+):", r"- `\1`:", line) for line in lines]
    return ["", f"**{block[0][:-1]}**", "", *items, ""]


REFERENCES: dict[str, Callable[[], str]] = {
    "the config": of_the_config,
    "the commands": of_the_commands,
    "Python": of_python,
}
