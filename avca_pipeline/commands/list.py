"""Command ``list``: the plugins of a kind, with what helps to choose among them.

It asks no network and builds no model, so that of a plugin which takes any model of a library the
dimension and the licence are those of the model that is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from avca_pipeline import registry
from avca_pipeline.registry import Kind

OF_THE_MODEL = "of the model"
COLUMNS = ("name", "modality", "dimension", "licence of the published weights", "what it is")


@dataclass(frozen=True)
class Row:
    """A row of the table: one plugin.

    Attributes:
        name: of the plugin.
        modality: of a backbone.
        dimension: of the features or vectors.
        licence: of the weights that a backbone downloads.
        summary: first sentence of its documentation, or what its vectors are.
    """

    name: str
    modality: str = ""
    dimension: str = ""
    licence: str = ""
    summary: str = ""


def run(kind: Kind, *, lists_choices: bool = False) -> None:
    """Prints a table of the plugins of a kind.

    Args:
        kind: ``backbones``, ``text_embeddings``, ``datasets``, ``splits`` or ``models``.
        lists_choices: whether the table is followed by the models that each plugin accepts by name.

    Raises:
        PipelineError: an installed package registers a plugin that cannot be used.
    """
    print(table(kind))
    if lists_choices:
        for name in registry.names(kind):
            what, choices = registry.load(kind, name).Settings.choices()
            if choices:
                print(f"\n{name}: {len(choices)} {what}", *choices, sep="\n  ")


def table(kind: Kind) -> str:
    """Returns a table of the plugins of a kind, without the columns that say nothing of it."""
    cells = [
        COLUMNS,
        *((r.name, r.modality, r.dimension, r.licence, r.summary) for r in rows(kind)),
    ]
    columns = [column for column in zip(*cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def rows(kind: Kind) -> list[Row]:
    """Returns what is said of each plugin of a kind, by name."""
    return [_row(kind, name) for name in registry.names(kind)]


def _row(kind: Kind, name: str) -> Row:
    module: Any = registry.load(kind, name)
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    is_open = any(field.is_required() for field in module.Settings.model_fields.values())
    if kind == "backbones":
        dimension, licence = OF_THE_MODEL, OF_THE_MODEL
        if not is_open:
            settings = module.Settings()
            dim, published = module.spec(settings).dim, module.published(settings)
            dimension = OF_THE_MODEL if dim is None else str(dim)
            licence = OF_THE_MODEL if published is None else published.licence
        return Row(name, module.MODALITY, dimension, licence, summary)
    if kind == "text_embeddings" and not is_open:
        return Row(name, summary=module.describe(module.Settings()))
    return Row(name, summary=summary)
