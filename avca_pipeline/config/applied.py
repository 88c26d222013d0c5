"""What the entries under ``apply`` refer to, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avca_pipeline.artifacts import bundle, class_lists
from avca_pipeline.artifacts.run import BOTH, Run
from avca_pipeline.config.sections import Applied
from avca_pipeline.config.typed import Config
from avca_pipeline.datasets import is_labelled
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.models import defaults
from avca_pipeline.settings import nearest


def mistakes(config: Config) -> list[str]:
    """Returns one line for each mistake that the config alone shows."""
    lines = [
        f"experiment.datasets: the clips of {name!r} have no classes (labelled: false); name it "
        "under apply alone"
        for name in dict.fromkeys(run.dataset for run in config.runs())
        if not is_labelled(config.datasets[name].settings)
    ]
    for name, entry in config.apply.items():
        lines += (f"apply.{name}.{line}" for line in _mistakes(config, name, entry))
    return lines


def check_files(config: Config, name: str) -> None:
    """Checks that the files that an entry under ``apply`` names are there.

    Raises:
        PipelineError: they are not.
    """
    entry, key = config.apply[name], f"apply.{name}"
    if isinstance(entry.classes, Path) and not class_lists.read(entry.classes, f"{key}.classes"):
        raise PipelineError(f"{key}.classes: {entry.classes}: has no name in it; name one a line")
    if entry.run is None or config.run_of_applied(name) is not None:
        return
    try:
        is_there = bundle.is_one(entry.run) or (entry.run / "scores.json").is_file()
    except OSError as error:
        raise PipelineError(
            f"{key}.run: {entry.run}: cannot be read ({error.strerror}); name another folder"
        ) from error
    if not is_there:
        runs = [f"{config.results}/{run.path}" for run in config.runs()]
        hint = f"; {nearest(str(entry.run), runs)}" if runs else ""
        raise PipelineError(
            f"{key}.run: {entry.run}: neither a run of the experiment, nor the folder of a run "
            f"that has ended (no scores.json), nor a bundle (no bundle.json, no .zip){hint}"
        )


def looks_at_training_clips(config: Config, run: Run) -> bool:
    """Returns whether a run's method looks at clips of seen classes before it classifies."""
    return config.models[run.model].module.adapt_to_classes is not defaults.adapt_to_classes


def files_of(config: Config, name: str) -> list[Path]:
    """Returns the user's files that decide what an entry under ``apply`` answers."""
    entry = config.apply[name]
    files = [entry.classes] if isinstance(entry.classes, Path) else []
    run = config.run_of_applied(name)
    if entry.run is not None and run is None:
        files += _files_of_stored(entry.run)
    text = config.text_embedding_of_applied(name)
    if text and entry.classes is not None:
        embedding = config.text_embeddings[text]
        files += embedding.module.inputs(embedding.settings)
    return files


def _files_of_stored(path: Path) -> list[Path]:
    """Returns the files of a bundle, or of a run, whose record has the digests of all it read."""
    if path.is_file():
        return [path]
    if bundle.is_one(path):
        return [path / name for name in bundle.MEMBERS]
    whole = path.absolute()
    parents = [*whole.parents]
    results = parents[min(6, len(parents) - 1)]
    record = results / "records" / whole.relative_to(results) / "scores.json.json"
    return [path / "scores.json", path / "stage2.pt", path / "selection.json", record]


def _mistakes(config: Config, name: str, entry: Applied) -> Iterator[str]:
    run = config.run_of_applied(name)
    sets = config.feature_sets
    if run is None and entry.zero_shot is None and entry.feature_set is None and len(sets) != 1:
        yield (
            "feature_set: is missing; name the one whose backbones make features as those of the "
            f"run did; {nearest('', sets)}"
        )
        return
    if run is not None and entry.feature_set not in (None, run.feature_set):
        yield (
            f"feature_set: {entry.feature_set!r}, but the run has {run.feature_set!r}; "
            "remove the key"
        )
    for features in config.features_of_applied(name).values():
        if features in config.imported:
            yield (
                f"{'run' if entry.run else 'zero_shot'}: {features!r} is imported, and nobody "
                "knows what makes it of a video; use features of a backbone"
            )
    if entry.zero_shot is not None and not config.text_embedding_of_applied(name):
        yield (
            "text_embedding: is missing; name the text towers of the encoders; "
            f"{nearest('', config.text_embeddings)}"
        )
    if run is None:
        return
    model = config.models[run.model]
    if any(settings.chosen_on_test for settings in model.candidates.values()):
        yield (
            f"run: the epoch of models.{run.model} is chosen on the test clips, for comparison "
            "with a paper alone; name a run without chosen_on_test"
        )
    modalities = {settings.modalities for settings in config.candidates(run).values()}
    if len(modalities - {BOTH}) > 1 or len(modalities) > 1:
        found = ", ".join(sorted(modalities))
        yield (
            f"run: candidates of models.{run.model} use other modalities ({abbreviated(found)}), "
            "and the one that is selected is not known yet; make it a model for each"
        )
