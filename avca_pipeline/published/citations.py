"""What to cite for what was used: the BibTeX of methods, datasets, backbones and text embeddings.

A plugin names its papers in ``CITATIONS``: keys of ``references.bib``, or whole BibTeX entries in a
plugin of another package.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Iterable, Mapping
from typing import Any

from avca_pipeline import registry
from avca_pipeline.errors import PipelineError
from avca_pipeline.registry import Kind

OF_BENCHMARK = {
    "UCF": "soomro2012ucf101",
    "ActivityNet": "heilbron2015activitynet",
    "VGGSound": "chen2020vggsound",
}
OF_MODEL = {
    "xclip": "ni2022xclip",
    "x-clip": "ni2022xclip",
    "siglip": "zhai2023siglip",
    "clap": "wu2023clap",
    "clip": "radford2021clip",
    "videomae": "tong2022videomae",
    "ast-": "gong2021ast",
    "r2plus1d": "tran2018r2plus1d",
}
"""Part of the name of a model to its paper; the first one that fits counts."""
_ENTRY = re.compile(r"@\w+\{([^,\s{}]+),.*?^\}", re.MULTILINE | re.DOTALL)


@functools.cache
def references() -> Mapping[str, str]:
    """Returns each key of ``references.bib`` with its entry."""
    file = importlib.resources.files("avca_pipeline.published") / "references.bib"
    return parse(file.read_text(encoding="utf-8"))


def parse(bibtex: str) -> dict[str, str]:
    """Returns key and text of each entry of a BibTeX text, in which ``}`` ends an entry's lines."""
    return {match[1]: match[0] for match in _ENTRY.finditer(bibtex)}


def entries_of(kind: Kind, plugin: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns key and entry of what to cite for a plugin with its settings; may be nothing.

    Args:
        kind: of the plugin.
        plugin: its name; what is no plugin here has nothing to cite.
        settings: of the plugin, as JSON has them.
    """
    try:
        stated = getattr(registry.load(kind, plugin), "CITATIONS", ())
    except PipelineError:
        return {}
    found: dict[str, str] = {}
    for citation in stated:
        if citation in references():
            found[citation] = references()[citation]
        else:
            found |= parse(citation)
    benchmark, model = settings.get("benchmark"), settings.get("model")
    if isinstance(benchmark, str) and benchmark in OF_BENCHMARK:
        found[OF_BENCHMARK[benchmark]] = references()[OF_BENCHMARK[benchmark]]
    if isinstance(model, str):
        name = model.lower().rpartition("/")[2]
        for key in [key for part, key in OF_MODEL.items() if part in name][:1]:
            found[key] = references()[key]
    for part in settings.get("parts") or ():
        found |= entries_of(kind, str(part.get("plugin")), part.get("settings") or {})
    return found


def bibtex(entries: Iterable[Mapping[str, str]]) -> str:
    """Returns entries as a BibTeX file, each once, in the order of their keys."""
    together: dict[str, str] = {}
    for some in entries:
        together |= some
    return "\n\n".join(together[key] for key in sorted(together)) + "\n" if together else ""
