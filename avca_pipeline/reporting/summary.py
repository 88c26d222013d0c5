"""What was run, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from avca_pipeline.artifacts.features import IMPORTED
from avca_pipeline.reporting.coverage import Coverage
from avca_pipeline.reporting.evidence import RANDOM, weights_of
from avca_pipeline.reporting.tables import Row


def what_was_run(rows: Sequence[Row], coverage: Sequence[Coverage]) -> str:
    """Returns one sentence about all runs."""
    counts = {
        dataset.dataset: f" ({len(dataset.clips)} clips, {dataset.num_classes} classes)"
        for dataset in coverage
    }
    if not rows:
        named = _joined([f"{part.dataset} ({len(part.clips)} clips)" for part in coverage])
        return f"Clips of {named}, classified with what was trained elsewhere."
    seeds = _distinct(str(run.run.seed) for row in rows for run in row.runs)
    descriptions = {
        row.names["text_embedding"]: row.runs[0].provenance.text_embedding for row in rows
    }
    texts = [f"{name} ({description})" for name, description in descriptions.items()]
    features = [
        f"{modality} features of {_joined(names)}"
        for modality in ("video", "audio")
        if (names := _backbones(rows, modality))
    ]
    datasets = [name + counts.get(name, "") for name in _names(rows, "dataset")]
    return (
        f"{_counted('Model', _names(rows, 'model'))}, trained with {_counted('seed', seeds)} and "
        f"tested on {_counted('dataset', datasets)}, {_counted('split', _names(rows, 'split'))}, "
        f"from {_joined(features)}, with {_counted('text embedding', texts)}."
    )


def weights_in_words(rows: Sequence[Row]) -> tuple[bool, str]:
    """Returns whether any backbone has random weights, and a sentence about all of them."""
    if not rows:
        return False, "Nothing was trained or tested here."
    provenances = [run.provenance for row in rows for run in row.runs]
    weights = [
        (attributes.get("name", modality), weights_of(attributes))
        for provenance in provenances
        for modality, attributes in (("video", provenance.video), ("audio", provenance.audio))
        if attributes
    ]
    random = _distinct(name for name, value in weights if value.startswith(RANDOM))
    imported = _distinct(name for name, value in weights if value == IMPORTED)
    trained = _distinct(
        name for name, value in weights if not value.startswith(RANDOM) and value != IMPORTED
    )
    if not random and not trained:
        return False, f"The features {_joined(imported)} were imported, not extracted here."
    if not random:
        return False, "The backbones have pretrained weights."
    meaning = "these numbers show that the pipeline works, not how good the method is."
    if not trained:
        return True, f"The backbones have seeded random weights: {meaning}"
    named = f"{_counted('Backbone', random)} with seeded random weights"
    return True, f"{named}, {_joined(trained)} with pretrained ones: {meaning}"


def _backbones(rows: Sequence[Row], modality: str) -> list[str]:
    provenances = (getattr(row.runs[0].provenance, modality) for row in rows)
    return _distinct(attributes.get("name", "?") for attributes in provenances if attributes)


def _names(rows: Sequence[Row], key: str) -> list[str]:
    return _distinct(row.names[key] for row in rows)


def _counted(noun: str, items: Sequence[str]) -> str:
    return f"{noun}{'s' if len(items) > 1 else ''} {_joined(items)}"


def _joined(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
