"""What people take away: the table for a paper or a spreadsheet, figures, and what to cite."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.artifacts import markdown, spreadsheets
from avca_pipeline.artifacts.atomic import atomic_write_folder
from avca_pipeline.errors import one_line
from avca_pipeline.published import citations
from avca_pipeline.reporting.evidence import parsed
from avca_pipeline.reporting.tables import (
    IDENTITY,
    SCORES,
    TITLES,
    Row,
    Statistic,
    csv_columns,
    csv_row,
)

CHANCE = "chance"
MAX_NAME = 80
_DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_STYLE = re.compile(r' (?:style|fill|stroke)="[^"]*"')
_VARIABLE = re.compile(r"var\(--[\w-]+, *([^()]+)\)")
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


@dataclass(frozen=True)
class Document:
    """A text to take away.

    Attributes:
        name: of its file.
        title: what it is.
        media_type: of its content.
        text: its content.
    """

    name: str
    title: str
    media_type: str
    text: str

    @property
    def address(self) -> str:
        """An address that holds the content, with which a browser saves it to a file."""
        packed = base64.b64encode(self.text.encode()).decode("ascii")
        return f"data:{self.media_type};charset=utf-8;base64,{packed}"


def documents(rows: Sequence[Row], datasets: Mapping[str, tuple[str, str]]) -> list[Document]:
    """Returns the table in three formats, and BibTeX of what was used.

    Args:
        rows: of the table.
        datasets: name of each dataset to its plugin and, where it has one, its benchmark.
    """
    table = spreadsheets.text(csv_columns(), map(csv_row, rows))
    found = [
        Document("table.csv", "Table as CSV, all columns", "text/csv", table),
        Document("table.tex", "Table for LaTeX (booktabs)", "application/x-tex", latex(rows)),
        Document("table.md", "Table for Markdown", "text/markdown", markdown_table(rows)),
        Document("references.bib", "BibTeX", "application/x-bibtex", bibtex(rows, datasets)),
    ]
    return [document for document in found if document.text]


def write(folder: Path, texts: Sequence[Document], page: str) -> None:
    """Writes documents, and each drawing of the page as an SVG file, whole or not at all.

    Raises:
        PipelineError: the folder cannot be written.
    """
    with atomic_write_folder(folder) as temporary:
        for document in texts:
            (temporary / document.name).write_text(document.text, encoding="utf-8")
        (temporary / "figures").mkdir()
        for name, drawing in drawings(page).items():
            (temporary / "figures" / name).write_text(drawing, encoding="utf-8")


def drawings(page: str) -> dict[str, str]:
    """Returns a name of a file and the content for each drawing of a page.

    A drawing takes colours from its page, with its own behind them: ``var(--text, #222)``. A file
    has these alone.
    """
    found = {}
    for number, drawing in enumerate(_DRAWING.findall(page), start=1):
        title = re.search(r"<title[^>]*>([^<]*)</title>", drawing)
        words = re.findall(r"[a-z0-9]+", html.unescape(title[1]).lower()) if title else []
        name = "-".join([f"{number:02d}", *words])[:MAX_NAME]
        # Names of classes stand in it too, and stay what they are.
        alone = _STYLE.sub(lambda style: _VARIABLE.sub(r"\1", style[0]), drawing)
        if " xmlns=" not in alone.partition(">")[0]:
            alone = alone.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
        found[f"{name}.svg"] = f"{alone}\n"
    return found


def bibtex(rows: Sequence[Row], datasets: Mapping[str, tuple[str, str]]) -> str:
    """Returns BibTeX of the methods, backbones, text embeddings and datasets of a table.

    Args:
        rows: of the table.
        datasets: name of each dataset to its plugin and, where it has one, its benchmark.
    """
    found = []
    for row in rows:
        provenance = row.runs[0].provenance
        found.append(citations.entries_of("models", provenance.model, provenance.settings))
        for stated in (provenance.video, provenance.audio):
            made = stated.get("made_with")  # of features that were published elsewhere
            made_by = stated if made is None else parsed(made)
            found.append(
                citations.entries_of(
                    "backbones",
                    str(made_by.get("backbone", "")),
                    parsed(made_by.get("preprocessing", "")),
                )
            )
        text = provenance.text
        found.append(
            citations.entries_of(
                "text_embeddings", text.get("plugin", ""), parsed(text.get("settings", ""))
            )
        )
    for plugin, benchmark in datasets.values():
        found.append(citations.entries_of("datasets", plugin, {"benchmark": benchmark}))
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
    text = "".join(_LATEX.get(char, char) for char in one_line(written))
    return text.replace("--", "-{}-").replace("--", "-{}-")  # else LaTeX makes one dash of them
