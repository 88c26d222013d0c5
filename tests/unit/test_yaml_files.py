"""A config says one thing, is no larger than it looks, and runs nothing."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from avca_pipeline import config as avca_config
from avca_pipeline.config import yaml_files
from avca_pipeline.errors import PipelineError
from tests.conftest import REPOSITORY


def bomb(first: str, opening: str, closing: str, item: str) -> str:
    """Returns ten lines that stand for 10**10 values."""
    lines = [f"a0: &a0 {first}"]
    for level in range(1, 11):
        items = ", ".join(item.format(n=n, of=f"*a{level - 1}") for n in range(10))
        lines.append(f"a{level}: &a{level} {opening}{items}{closing}")
    return "\n".join(lines)


REFUSED = {
    "key twice": ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice"),
    "key twice below": ("x:\n  a: 1\n  b: {c: 1, c: 2}", "line 3: the key 'c' is given twice"),
    "key twice in a list": ("x:\n- a: 1\n  a: 1", "line 3: the key 'a' is given twice"),
    "key twice in two spellings": ("a: 1\n'a': 2", "line 2: the key 'a' is given twice"),
    "number twice": ("1: 1\n01: 2", "line 2: the key 1 is given twice"),
    "key twice in JSON": ('{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' is given twice"),
    "merged twice": ("<<: {a: 1}\n<<: {b: 1}", "line 2: the key '<<' is given twice"),
    "key twice beside a merge": ("b: &b {x: 1}\nc: {<<: *b, x: 2, x: 3}", "the key 'x' is given"),
    "key twice behind an alias": ("b: &b {x: 1, x: 2}\nc: {<<: *b}", "the key 'x' is given"),
    "list as key": ("? [a]\n: 1", "a key must be a word"),
    "mapping as key": ("? {a: 1}\n: 1", "a key must be a word"),
    "lists that grow": (bomb("[x, x]", "[", "]", "{of}"), "stands for more than 100000 values"),
    "mappings that grow": (bomb("{x: 1}", "{", "}", "k{n}: {of}"), "stands for more than 100000"),
    "list in itself": ("a: &a [*a]", "an alias refers to what it is part of"),
    "mapping in itself": ("a: &a {b: {c: *a}}", "an alias refers to what it is part of"),
    "deep lists": ("[" * 100_000, "nested too deeply"),
    "deep lists of JSON": ("{" + '"a": [' + "[" * 100_000, "nested too deeply"),
    "deep mappings": ("{a: " * 20_000, "nested too deeply"),
    "deep keys": ("? " * 20_000, "nested too deeply"),
    "large": ("a: " + "b" * (1 << 20), "more than 1048576 bytes"),
    "NUL": ("x: 1\na: b\0c", "line 2: cannot be read as YAML: a control character stands here"),
    "no date": (
        "x: 1\na: 2001-99-99",
        "line 2: cannot be read as YAML: '2001-99-99' is no date or",
    ),
    "no number": (
        "a: !!int zz",
        "line 1: cannot be read as YAML: 'zz' is no date or number; put it",
    ),
    "two documents": ("a: 1\n---\nb: 1", "line 2: cannot be read as YAML: '---' begins a second"),
    "unknown alias": ("a: *b", "line 1: cannot be read as YAML: *b refers to &b, which is not"),
    "tab": ("a:\n\tb: 1", "line 2: cannot be read as YAML: a tab begins here; indent with spaces"),
    "open list": (
        "a: [1,\nb: 2",
        "line 2: cannot be read as YAML: a list in square brackets lacks",
    ),
    "open mapping": ("a: {b: 1\nc: 2", "cannot be read as YAML: a mapping in braces lacks"),
    "second colon": ("a: 1\nb: c: d", "line 2: cannot be read as YAML: a ':' stands where no key"),
    "indentation": ("a: 1\n  b: 2\n c: 3", "line 2: cannot be read as YAML: a ':' stands where"),
    "less indented": (
        "a:\n  b: 1\n c: 2",
        "line 3: cannot be read as YAML: the indentation differs",
    ),
    "open quotation mark": (
        "a: 'b\n",
        "cannot be read as YAML: a quotation mark has no second one",
    ),
    "sign before a text": ("a: @b", "line 1: cannot be read as YAML: a text begins with @; put it"),
    "key without a colon": ("a: 1\nb\nc: 1", "cannot be read as YAML: a key has no ':' after it"),
    "Python object": ("!!python/object/apply:os.system ['exit']", "cannot be read as YAML"),
    "template": ("__use_yte__: true\n?print(1): 2", "templates run code"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    tracemalloc.start()
    with pytest.raises(PipelineError) as caught:
        avca_config.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert peak < 100 << 20


@pytest.mark.parametrize(
    "content", [b"\xff\xfea\0:\0", "caf\u00e9: 1".encode("latin-1"), b"\x80"], ids=repr
)
def test_another_encoding_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(PipelineError, match=r"config\.yaml: cannot be read as YAML .*utf-8"):
        avca_config.load(tmp_path / "config.yaml")
    with pytest.raises(PipelineError, match=r"no\.yaml: no such file"):
        avca_config.load(tmp_path / "no.yaml")
    with pytest.raises(PipelineError, match="cannot be read as YAML"):
        avca_config.load(tmp_path)


def test_what_yaml_has_beside_is_kept(tmp_path: Path) -> None:
    """A byte order mark, aliases, mappings that add to another, JSON with tabs, nothing at all."""
    path = tmp_path / "config.yaml"
    for text, expected in (
        ("\ufeffa: 1", {"a": 1}),
        ("b: &b {x: 1, y: 2}\nc: {<<: *b, x: 3}", {"b": {"x": 1, "y": 2}, "c": {"x": 3, "y": 2}}),
        ("b: &b {x: 1}\nc: {<<: [*b, {x: 2, z: 3}]}", {"b": {"x": 1}, "c": {"x": 1, "z": 3}}),
        ("b: &b [1, 2]\nc: *b\nd: *b", {"b": [1, 2], "c": [1, 2], "d": [1, 2]}),
        ('{\n\t"a": [1,\t2]\n}', {"a": [1, 2]}),
        ("", None),
    ):
        path.write_text(text, encoding="utf-8")
        assert yaml_files.read(path) == expected


@pytest.mark.parametrize(
    "keys",
    [
        ("cache",),
        ("results",),
        ("limits",),
        ("models",),
        ("models", "avca"),
        ("models", "avca", "epochs"),
        ("datasets", "demo", "num_shards"),
        ("experiment", "seeds"),
    ],
    ids=".".join,
)
def test_what_a_message_shows_of_a_value_is_short(keys: tuple[str, ...]) -> None:
    raw = yaml_files.read(REPOSITORY / "config.yaml")
    section = raw
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = [["x" * 1000] * 1000] * 1000
    with pytest.raises(PipelineError, match=r"^" + r"\.".join(keys[:2])) as caught:
        avca_config.parse(raw)
    assert max(map(len, caught.value.lines)) < 500
    assert len(caught.value.lines) < 30
