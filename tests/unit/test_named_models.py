"""Names of models are checked before any work: in one line, and as a rule without the library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torchvision
import yaml

from avca_pipeline.cli import main
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.library_names import is_written
from avca_pipeline.transformer_models import loading
from avca_pipeline.transformer_models.families import PE_TEXT_HEADS, TOWERS, Tower
from tests.conftest import REPOSITORY
from tests.workflow.driving import tiny


def config_file(folder: Path, backbone: dict[str, Any], text: dict[str, Any]) -> Path:
    config = tiny(backbones={"frames": backbone, "vggish": {}}, text_embeddings={"hashed": text})
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("backbone", "text", "line"),
    [
        (
            {"plugin": "timm_frames", "model": "resnet81"}, {},
            "timm_frames.model: timm has no model 'resnet81'; did you mean 'resnet",
        ),
        (
            {"plugin": "timm_frames", "model": "resnet18.a9_in1k"}, {},
            "timm_frames.model: timm has no weights 'a9_in1k' of resnet18; "
            "did you mean 'resnet18.a",
        ),
        (
            {"plugin": "torchvision_video", "model": "r3d_81"}, {},
            "torchvision_video.model: torchvision has no video network 'r3d_81'; "
            "did you mean 'r3d_18'?",
        ),
        (
            {"plugin": "torchvision_video", "model": "r3d_18", "weights_enum": "KINETICS"}, {},
            "torchvision_video.weights_enum: r3d_18 has no weights 'KINETICS'; "
            "did you mean 'KINETICS400_V1'?",
        ),
        (
            {"plugin": "timm_frames"}, {"plugin": "wordllama", "templates": "a video"},
            "text_embeddings.hashed.templates: a template without {}, no list and no .txt file; ",
        ),
    ],
)  # fmt: skip
def test_a_wrong_name_is_one_line(
    backbone: dict[str, Any], text: dict[str, Any], line: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["check", str(config_file(tmp_path, backbone, text))]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.removeprefix("avca check: error: ").startswith(line)


@pytest.mark.parametrize(
    "backbone",
    [
        {"plugin": "timm_frames", "model": "test_resnet.r160_in1k"},
        {"plugin": "torchvision_video", "model": "mvit_v2_s"},
    ],
)
def test_a_right_name_needs_no_library(backbone: dict[str, Any], tmp_path: Path) -> None:
    code = (
        "import sys; from avca_pipeline.cli import main; "
        f"code = main(['check', {str(config_file(tmp_path, backbone, {}))!r}]); "
        "print(code, *({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout == "0\n", done.stderr


def test_what_is_found_in_the_source_is_what_the_libraries_list() -> None:
    names = timm.list_models()[::40]
    assert all(is_written("timm", "models/*.py", f"@register_model\ndef {name}(") for name in names)
    video = torchvision.models.list_models(module=torchvision.models.video)
    assert all(
        is_written("torchvision", "models/video/*.py", f"\ndef {name}(*, weights") for name in video
    )


def test_a_library_without_a_tower_is_one_line_with_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the installed version, every family of the table is found."""
    for task, towers in TOWERS.items():
        for tower in (*towers.values(), *(PE_TEXT_HEADS.values() if task == "text" else ())):
            loading.check_installed(task, tower)
    with pytest.raises(PipelineError, match=r"has no Clip9Model; .*: clip, metaclip_2, siglip$"):
        loading.check_installed("images", Tower("Clip9Model", "", lambda *_: _[1]))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PipelineError, match=r"pip install 'avca_pipeline\[transformers\]'"):
        loading.check_installed("images", TOWERS["images"]["clip"])
