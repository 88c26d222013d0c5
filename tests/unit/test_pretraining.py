"""What backbones were trained on decides which classes may be unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avca_pipeline import config as avca_config
from avca_pipeline.artifacts import audits, manifest, split
from avca_pipeline.artifacts.audits import SplitAudit
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.backbones import timm_frames, torchvision_video
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.requests import Requests
from avca_pipeline.requests import SplitRequest
from avca_pipeline.stages import VERSIONS
from avca_pipeline.stages import split as stage
from tests.workflow.driving import tiny

CLASSES = [f"Class {number}" for number in range(10)]


def request_for(backbones: dict[str, Any], **chosen: Any) -> SplitRequest:
    """Returns what the workflow asks the stage for, by way of the config."""
    raw = tiny(
        splits={"built": chosen},
        backbones={"frames": {"plugin": "timm_frames", **backbones}, "vggish": {}},
    )
    return Requests(avca_config.parse(raw), VERSIONS).split("tiny", "built")


def run(folder: Path, request: SplitRequest) -> tuple[set[str], SplitAudit]:
    """Returns the unseen classes of the split, and its audit."""
    clips = [
        Clip(f"{name}-{source}", f"{name}-{source}", name, "x")
        for name in CLASSES
        for source in range(6)
    ]
    manifest.write(folder / "manifest.csv", clips)
    stage.run(request, folder / "manifest.csv", folder / "s.csv", folder / "a.json")
    unseen = {row.class_name for row in split.read(folder / "s.csv") if "unseen" in row.partition}
    return unseen, audits.read_split_audit(folder / "a.json")


def test_classes_of_a_pretraining_stay_seen_if_asked_and_stop_a_split_if_not(
    tmp_path: Path,
) -> None:
    unseen, _ = run(tmp_path, request_for({}))
    taken = sorted(unseen)[0]
    (tmp_path / "classes.txt").write_text(f"{taken.replace(' ', '').upper()}\nsomething else\n")
    trained = {"pretraining_classes": str(tmp_path / "classes.txt")}

    with pytest.raises(PipelineError, match="unseen_classes_not_pretrained_on"):
        run(tmp_path, request_for(trained))
    chosen = {"exclude_pretraining_of": ["frames"]}
    other, audit = run(tmp_path, request_for(trained, **chosen))
    assert taken not in other
    assert len(other) == len(unseen)
    assert audit.passed
    lenient = {"audit": {"unseen_classes_not_pretrained_on": "warning"}}
    same, audit = run(tmp_path, request_for(trained, **lenient))
    assert same == unseen
    assert not audit.passed


def test_an_alias_is_as_good_as_the_name(tmp_path: Path) -> None:
    unseen, _ = run(tmp_path, request_for({}))
    (tmp_path / "classes.txt").write_text("jumping about\n")
    trained = {"pretraining_classes": str(tmp_path / "classes.txt")}
    taken = sorted(unseen)[0]
    aliases = {"aliases": {taken: ["Jumping About"]}}
    with pytest.raises(PipelineError, match="unseen_classes_not_pretrained_on"):
        run(tmp_path, request_for(trained, **aliases))
    excluding = {"exclude_pretraining_of": ["frames"], **aliases}
    assert taken not in run(tmp_path, request_for(trained, **excluding))[0]


def test_what_nobody_knows_is_said_and_cannot_be_excluded(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"not opened here")
    unknown = {"weights": str(tmp_path / "weights.pth")}
    _, audit = run(tmp_path, request_for(unknown))
    assert audit.unknown_pretraining == ["frames"]
    chosen = {"exclude_pretraining_of": ["frames"]}
    with pytest.raises(PipelineError, match="'frames' does not say which classes"):
        run(tmp_path, request_for(unknown, **chosen))
    with pytest.raises(PipelineError, match="exclude_pretraining_of: 'c4d' is not under backbones"):
        request_for({}, exclude_pretraining_of=["c4d"])


def test_too_few_classes_left_are_counted(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES[1:]))
    trained = {"pretraining_classes": str(tmp_path / "classes.txt")}
    chosen = {"exclude_pretraining_of": ["frames"]}
    with pytest.raises(PipelineError, match="4 classes must be unseen, but only 1 of 10"):
        run(tmp_path, request_for(trained, **chosen))


@pytest.mark.parametrize(
    ("model", "known", "unknown"),
    [
        ("mobilenetv3_small_100.lamb_in1k", {"tench", "goldfish"}, {"aardvark"}),
        ("convnext_tiny.in12k", {"tench", "aardvark"}, {"birthing coach"}),
        ("convnext_tiny.in12k_ft_in1k", {"tench", "aardvark"}, set()),
        ("convnext_tiny.in12k_ft_in1k_384", {"tench", "aardvark"}, set()),
        ("convnext_tiny.fb_in22k", {"tench", "birthing coach"}, set()),
        ("convnext_tiny.fb_in22k_ft_in1k", {"tench", "birthing coach"}, set()),
        ("caformer_b36.sail_in1k_384", {"tench", "goldfish"}, {"aardvark"}),
    ],
)
def test_published_image_networks_have_seen_every_set_that_their_name_says(
    model: str, known: set[str], unknown: set[str]
) -> None:
    found = timm_frames.pretraining_classes(timm_frames.Settings(weights="published", model=model))
    assert found is not None
    assert known <= set(found)
    assert not unknown & set(found)


def test_published_video_networks_have_seen_the_classes_of_kinetics() -> None:
    settings = torchvision_video.Settings(weights="published")
    found = torchvision_video.pretraining_classes(settings)
    assert found is not None
    assert len(found) == 400
    assert {"archery", "playing guitar", "zumba"} <= set(found)


def test_a_pretraining_without_labels_is_no_known_one() -> None:
    """Nobody knows of every such set what it holds; random weights have seen nothing."""
    model = "vit_small_patch16_224.dino"
    published = timm_frames.Settings(weights="published", model=model)
    assert timm_frames.pretraining_classes(published) is None
    assert timm_frames.pretraining_classes(timm_frames.Settings(model=model)) == ()
