"""The table for a paper: the numbers of the table, and no name that is a command."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen
from xml.etree import ElementTree

from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Accuracies
from avca_pipeline.published.citations import parse
from avca_pipeline.reporting import take_away
from avca_pipeline.reporting.tables import Row, rows_of
from tests.builders import scores_of

HOSTILE = r"\input{x} & 50% $a_b^c$ #~|*`<b>"


def rows() -> list[Row]:
    made = []
    for name, values in (("avca", [0.5, 0.7]), ("devise", [0.25])):
        for seed, hm in enumerate(values):
            made.append(
                scores_of(
                    Run("d", "s", "f", "t", name, seed), scores=Accuracies(0.125, None, hm, 0.4)
                )
            )
    table = rows_of(made)
    hostile = dict.fromkeys(("model",), HOSTILE)
    identity = tuple(hostile.get(name, value) for name, value in table[1].names.items())
    best = replace(table[0], best=frozenset({"hm"}))
    return [best, replace(table[1], identity=identity)]


def test_latex_has_the_numbers_and_no_command_of_a_name() -> None:
    text = take_away.latex(rows())
    lines = text.splitlines()
    assert lines[1] == r"\begin{tabular}{lrrrr}"
    assert [line for line in lines if line.startswith(r"\mid")] == [r"\midrule"]
    assert r"avca & 12.5 $\pm$ 0.0 & -- & \textbf{60.0} $\pm$ 14.1" in text
    (hostile,) = (line for line in lines if "textbackslash" in line)
    assert hostile.startswith(
        r"\textbackslash{}input\{x\} \& 50\% \$a\_b\textasciicircum{}c\$ \#\textasciitilde{}"
        r"\textbar{}*`\textless{}b\textgreater{} & "
    )
    assert all(len(re.findall(r"(?<!\\)&", line)) == 4 for line in lines if line.endswith(r"\\"))
    assert r"chance & 10.0 & 20.0 & 30.0 & 40.0 \\" in text
    depth = 0
    for char in re.sub(r"\\[{}\\]", "", text):
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0


def test_markdown_has_the_numbers_and_opens_nothing() -> None:
    lines = take_away.markdown_table(rows()).splitlines()
    assert lines[:2] == ["| model | S | U | HM | ZSL |", "| --- | ---: | ---: | ---: | ---: |"]
    assert lines[2].startswith("| avca | 12.5 ± 0.0 | – | **60.0** ± 14.1 |")
    assert lines[3].startswith(
        r"| \\input{x} \& 50% \$a\_b^c\$ \#\~\|\*\`\<b\> | 12.5 | – | 25.0 |"
    )
    assert lines[4] == "| chance | 10.0 | 20.0 | 30.0 | 40.0 |"


def test_bibtex_names_methods_backbones_and_datasets() -> None:
    run = scores_of(Run("d", "s", "f", "t", "avca", 0))
    table = rows_of([run])
    datasets = {"d": ("official", "UCF"), "mine": ("folder", "")}
    assert set(parse(take_away.bibtex(table, datasets))) == {
        "mercea2022avca", "tran2015c3d", "hershey2017vggish", "soomro2012ucf101",
    }  # fmt: skip
    made_with = '{"backbone":"selavi_audio","preprocessing":"{}","weights":"x"}'
    stated = {"name": "a", "backbone": "imported", "made_with": made_with}
    table = rows_of([replace(run, provenance=replace(run.provenance, audio=stated, video={}))])
    assert set(parse(take_away.bibtex(table, {}))) == {"mercea2022avca", "asano2020selavi"}


def test_a_drawing_is_a_file_of_its_own() -> None:
    page = (
        '<p>&lt;svg</p><svg role="img" viewBox="0 0 1 1"><title>A &amp; B: ../x</title>'
        '<path style="fill:var(--text, #222222)"/></svg> between <svg xmlns="x">\n</svg>'
    )
    found = take_away.drawings(page)
    assert list(found) == ["01-a-b-x.svg", "02.svg"]
    root = ElementTree.fromstring(found["01-a-b-x.svg"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[1].attrib["style"] == "fill:#222222"


def test_documents_hold_what_their_addresses_hold_and_names_are_text(tmp_path: Path) -> None:
    texts = take_away.documents(rows(), {})
    assert [text.name for text in texts] == [
        "table.csv", "table.tex", "table.md", "references.bib"
    ]  # fmt: skip
    take_away.write(tmp_path / "files", texts, "<svg></svg>")
    for text in texts:
        with urlopen(text.address) as answer:
            assert answer.read() == (tmp_path / "files" / text.name).read_bytes()
    assert [path.name for path in (tmp_path / "files/figures").iterdir()] == ["01.svg"]
    with open(tmp_path / "files/table.csv", newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["avca", HOSTILE]
    formula = replace(rows()[0], identity=("d", "s", "f", "t", "=cmd()", "both"))
    (table, *_) = take_away.documents([formula], {})
    assert "'=cmd()," in table.text


def test_names_are_shown_as_they_are_written() -> None:
    (row, _) = rows()
    named = replace(row, identity=(*row.identity[:4], "a---b &lt; c", row.identity[5]))
    assert r"a-{}-{}-b \&lt; c & " in take_away.latex([named])
    assert r"| a---b \&lt; c |" in take_away.markdown_table([named])
    drawn = '<svg><title>var(--x, red)</title><path style="fill:var(--text, #222)"/></svg>'
    (alone,) = take_away.drawings(drawn).values()
    assert "<title>var(--x, red)</title>" in alone
    assert 'style="fill:#222"' in alone
