"""The result table for a paper or a page of one's own, and what to cite."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from avca_pipeline.artifacts import markdown
from avca_pipeline.errors import one_line
from avca_pipeline.published import citations
from avca_pipeline.reporting.tables import IDENTITY, SCORES, Row, Statistic

TITLES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}
CHANCE = "chance"
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def latex(rows: Sequence[Row]) -> str:
    r"""Returns the table for LaTeX with the package booktabs; it compiles as it stands.

    The names in it are text: no character of a name is a command.
    """
    names = _varying(rows)
    lines = [
        "% \\usepackage{booktabs}; percent, mean and standard deviation over seeds",
        f"\\begin{{tabular}}{{{'l' * len(names)}{'r' * len(SCORES)}}}",
        "\\toprule",
        _latex_line([*(_latex_text(name.replace("_", " ")) for name in names), *TITLES.values()]),
    ]
    for group in _groups(rows):
        lines.append("\\midrule")
        for row in group:
            scores = [
                _latex_score(row.scores[name], is_bold=name in row.best) for name in SCORES
            ]  # fmt: skip
            lines.append(_latex_line([*(_latex_text(row.names[name]) for name in names), *scores]))
        chance = [_share(group[0].scores[name].chance, "--") for name in SCORES]
        lines.append(_latex_line([CHANCE, *[""] * (len(names) - 1), *chance]))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def markdown_table(rows: Sequence[Row]) -> str:
    """Returns the table for Markdown; no character of a name opens anything."""
    names = _varying(rows)
    cells: list[list[str]] = []
    for group in _groups(rows):
        for row in group:
            scores = [
                _markdown_score(row.scores[name], is_bold=name in row.best) for name in SCORES
            ]
            cells.append([*(markdown.text(row.names[name]) for name in names), *scores])
        chance = [_share(group[0].scores[name].chance, "–") for name in SCORES]
        cells.append([CHANCE, *[""] * (len(names) - 1), *chance])
    columns = [*(name.replace("_", " ") for name in names), *TITLES.values()]
    return markdown.table(columns, cells, "l" * len(names) + "r" * len(SCORES)) + "\n"


def bibtex(rows: Sequence[Row], datasets: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """Returns BibTeX of the methods, backbones, text embeddings and datasets of a table.

    Args:
        rows: of the table.
        datasets: name of each dataset to its plugin and its settings.
    """
    found = []
    for row in rows:
        provenance = row.runs[0].provenance
        found.append(citations.entries_of("models", provenance.model, provenance.settings))
        for stated in (provenance.video, provenance.audio):
            made = stated.get("made_with")  # of features that were published elsewhere
            made_by = stated if made is None else _parsed(made)
            found.append(
                citations.entries_of(
                    "backbones",
                    str(made_by.get("backbone", "")),
                    _parsed(made_by.get("preprocessing", "")),
                )
            )
        text = provenance.text
        found.append(
            citations.entries_of(
                "text_embeddings", text.get("plugin", ""), _parsed(text.get("settings", ""))
            )
        )
    for plugin, settings in datasets.values():
        found.append(citations.entries_of("datasets", plugin, settings))
    return citations.bibtex(found)


def _varying(rows: Sequence[Row]) -> list[str]:
    """Returns the names of the identity that tell rows apart, the model always."""
    return [
        name
        for name in IDENTITY
        if name == "model" or len({row.names[name] for row in rows}) > 1
    ]  # fmt: skip


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Returns the rows in stretches with the same chance."""
    groups: list[list[Row]] = []
    for row in rows:
        if groups and groups[-1][0].group == row.group:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _share(share: float | None, nothing: str) -> str:
    return nothing if share is None else f"{100 * share:.1f}"


def _latex_score(score: Statistic, *, is_bold: bool) -> str:
    mean = _share(score.mean, "--")
    spread = "" if score.std is None else f" $\\pm$ {100 * score.std:.1f}"
    return (f"\\textbf{{{mean}}}" if is_bold else mean) + spread


def _markdown_score(score: Statistic, *, is_bold: bool) -> str:
    mean = _share(score.mean, "–")
    spread = "" if score.std is None else f" ± {100 * score.std:.1f}"
    return (f"**{mean}**" if is_bold else mean) + spread


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_text(written: str) -> str:
    return "".join(_LATEX.get(char, char) for char in one_line(written))


def _parsed(written: object) -> Mapping[str, Any]:
    """Returns settings that a file states as JSON; none where it states something else."""
    try:
        value = json.loads(str(written))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
