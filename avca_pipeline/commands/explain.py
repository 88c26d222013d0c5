"""Command ``explain``: what a key, a section or a plugin of a config is."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Sequence

from avca_pipeline import registry
from avca_pipeline.config.reference import Key, Section, sections
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.settings import nearest

WIDTH = 88
MAX_COLUMN = 24


def run(name: str) -> None:
    """Prints what a name means.

    Raises:
        PipelineError: a config has nothing of this name.
    """
    print(text(name))


def text(name: str) -> str:
    """Returns what a name means, in lines of at most 88 characters where words allow it.

    Args:
        name: a key with the sections before it (``models.avca.epochs``, or with a name of one's own
            in the place of the plugin), a section (``limits``, ``splits.built.audit``), a plugin
            (``models.avca`` or ``avca``), or the last part of a key alone (``epochs``).

    Raises:
        PipelineError: a config has nothing of this name.
    """
    known = [part for part in sections() if part.name or part.keys]
    asked = name.strip().strip(".")
    found = [part for part in known if asked and asked in _names(part)]
    if found:
        return "\n\n".join(_section_in_words(part, known) for part in found)
    within = [(part, _keys_within(part, asked)) for part in known]
    groups = [_group_in_words(part, keys) for part, keys in within if keys]
    if groups:
        return "\n\n".join(groups)
    keys = [(part, key) for part in known for key in part.keys if _is_meant(part, key, asked)]
    if not keys:
        raise PipelineError(f"{abbreviated(name)} is no key of a config; {_nearest(asked, known)}")
    texts: dict[str, list[str]] = {}
    for part, key in keys:
        texts.setdefault(_key_in_words(part, key), []).append(key.name)
    return "\n\n".join("\n".join([*_listed(names), words]) for words, names in texts.items())


def _names(section: Section) -> tuple[str, ...]:
    """Returns what a section is called: a plugin also without its kind."""
    return (section.name, section.name.partition(".")[2])


def _keys_within(section: Section, asked: str) -> list[Key]:
    """Returns the keys of a group of keys, such as ``splits.built.audit``."""
    return [
        key
        for key in section.keys
        if asked
        and (key.name.startswith(f"{asked}.") or ("." not in asked and f".{asked}." in key.name))
    ]


def _is_meant(section: Section, key: Key, asked: str) -> bool:
    """Returns whether a key is meant: by its name, its last part, or below a name of one's own."""
    if asked == key.name or ("." not in asked and key.name.endswith(f".{asked}")):
        return True
    kind, _, rest = asked.partition(".")
    entry, _, own = rest.partition(".")
    if section.place != f"{kind}.<name>" or not own or key.name != f"{section.name}.{own}":
        return False
    plugins = registry.names(kind) if kind in registry.KINDS else []
    is_typo = difflib.get_close_matches(entry, plugins, n=1)
    return not is_typo


def _nearest(asked: str, known: Iterable[Section]) -> str:
    """Returns what may be meant, or the sections where nothing is called nearly so."""
    names = {part.name for part in known} | {key.name for part in known for key in part.keys}
    names |= {name.rpartition(".")[2] for name in names}
    if difflib.get_close_matches(asked, names - {""}, n=1):
        return nearest(asked, names - {""})
    return nearest("", {part.name for part in known if part.name and "." not in part.name})


def _listed(names: Iterable[str]) -> list[str]:
    return textwrap.wrap(", ".join(names), WIDTH)


def _section_in_words(section: Section, known: Iterable[Section]) -> str:
    """Returns a section with the first sentence of each of its keys or plugins."""
    kind, _, plugin = section.name.partition(".")
    lines = [section.name, *_indented(section.summary), *_indented(section.text)]
    if plugin:
        lines += _indented(
            f"A plugin of {kind}: write '{kind}: {{{plugin}: {{…}}}}', or give the entry a name of "
            f"your own and 'plugin: {plugin}'."
        )
    summaries = {part.name: part.summary for part in known}
    lines += _rows([(name, summaries[f"{kind}.{name}"]) for name in section.plugins])
    return "\n".join([*lines, *_keys_in_lines(section, section.keys)])


def _group_in_words(section: Section, keys: Sequence[Key]) -> str:
    """Returns keys that stand together below a key, with its name."""
    name = keys[0].name.rpartition(".")[0]
    return "\n".join([name, *_keys_in_lines(section, keys)])


def _keys_in_lines(section: Section, keys: Iterable[Key]) -> list[str]:
    """Returns keys of a section, each with its first sentence and its default."""
    rows = []
    for key in keys:
        default = "must be written" if key.is_required else f"default: {key.default or 'none'}"
        short = key.name.removeprefix(f"{section.name}.")
        rows.append((short, f"{_first_sentence(key.text)} ({default})"))
    return _rows(rows)


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Returns two columns; words begin on a line of their own behind a long name."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows if len(name) <= MAX_COLUMN), default=0)
    lines = []
    for name, words in rows:
        first = f"  {name:<{width}}  "
        if len(name) > width:
            lines.append(f"  {name}")
            first = " " * (width + 4)
        rest = " " * (width + 4)
        lines += textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=rest)
    return lines


def _key_in_words(section: Section, key: Key) -> str:
    """Returns a key without its name: what it is, its values, its default, and its place."""
    default = "none: it must be written" if key.is_required else key.default or "none"
    place = section.place_of(key)
    return "\n".join(
        [
            *_indented(key.text),
            *_indented(f"values:   {key.values}"),
            *_indented(f"default:  {default}"),
            *_indented(f"place:    below {place}" if place else "place:    in no section"),
        ]
    )


def _indented(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _first_sentence(words: str) -> str:
    sentence, end, _ = words.partition(". ")
    return sentence + end.strip() if end else words
