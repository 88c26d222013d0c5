"""Publishes a run: the bundle that ``avca bundle`` writes, without the paths of this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from avca_pipeline.artifacts import bundle
from avca_pipeline.artifacts.bundle import Bundle
from avca_pipeline.inference import card, run_folder
from avca_pipeline.publishing.places import without_places


def publish(run: Path, out: Path, licence: str = "unknown") -> Path:
    """Writes the bundle of a run as a folder and a zip, whose path is returned.

    Where its weights lie is said with ``avca predict --weights``: of a path, its last name stays.

    Args:
        run: folder of the run, within a whole folder of results.
        out: the folder to write.
        licence: of the run, as the Hugging Face Hub abbreviates it.

    Raises:
        PipelineError: the folder has no run that has ended, or the bundle cannot be written.
    """
    made = run_folder.read(run)
    places = (*run.resolve().parents[:6], Path.cwd(), Path.home())
    given = public(made, *places)
    return bundle.write(out, given, card.text(given, licence))


def public(made: Bundle, *places: Path) -> Bundle:
    """Returns a bundle in which each path of this machine is the name of its file.

    Args:
        made: the bundle.
        places: folders whose paths may stand in a text, and may have spaces in them.
    """
    described = made.description
    backbones = {
        modality: replace(backbone, settings=without_places(backbone.settings, *places))
        for modality, backbone in described.backbones.items()
    }
    text = replace(
        described.text,
        settings=without_places(described.text.settings, *places),
        files=tuple((Path(name).name, sha256) for name, sha256 in described.text.files),
    )
    scores = made.scores
    if scores:
        content = json.loads(scores)
        # Names of classes and of the run may look like paths, and are not.
        content["provenance"] = without_places(content["provenance"], *places)
        scores = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return replace(
        made,
        description=replace(
            described,
            backbones=backbones,
            text=text,
            model_settings=without_places(described.model_settings, *places),
        ),
        scores=scores,
    )
