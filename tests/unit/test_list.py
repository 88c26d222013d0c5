"""The table of plugins that `avca list` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from avca_pipeline import registry
from avca_pipeline.cli import main
from avca_pipeline.commands import list as command


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_plugin_of_a_kind_has_a_line(
    kind: registry.Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", kind]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == registry.names(kind)
    assert heading.split()[0] == "name"
    assert all(len(line.split()) > 2 for line in lines)


def test_backbones_are_listed_with_what_decides_between_them() -> None:
    rows = {row.name: row for row in command.rows("backbones")}
    assert (rows["c3d"].modality, rows["c3d"].dimension) == ("video", "4096")
    assert "NC" in rows["selavi_audio"].licence
    assert rows["transformers_audio"].dimension == "of the model"
    assert rows["transformers_audio"].licence == "of the model"
    assert "CLAP" in rows["transformers_audio"].summary


@pytest.mark.parametrize("name", ["vggish", "selavi_audio", "selavi_video"])
def test_the_dimension_that_is_listed_is_that_of_the_features(name: str, tmp_path: Path) -> None:
    module = registry.load("backbones", name)
    settings = module.Settings()
    network, _ = module.build(settings, tmp_path)
    spec = module.spec(settings)
    data = torch.zeros((1, *spec.window_shape), dtype=getattr(torch, spec.window_dtype))
    with torch.inference_mode():
        features = module.encode(settings, network, data, torch.tensor([len(data[0])]))
    assert features.shape == (1, spec.dim)


def test_all_lists_what_the_libraries_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "backbones"]) == 0
    table = capsys.readouterr().out
    assert main(["list", "backbones", "--all"]) == 0
    longer = capsys.readouterr().out
    assert longer.startswith(table)
    blocks = longer.removeprefix(table).strip().split("\n\n")
    names = {
        heading.split(":")[0]: rows.split()
        for heading, _, rows in (b.partition("\n") for b in blocks)
    }
    assert names["timm_frames"] == timm.list_models()
    assert {"r2plus1d_18", "mvit_v2_s", "swin3d_b"} <= set(names["torchvision_video"])
    assert "resnet50" not in names["torchvision_video"]
    assert names["transformers_images"] == ["clip", "metaclip_2", "siglip"]
    assert {"clap", "pe_audio_video"} <= set(names["transformers_audio"])
    assert "c3d" not in names
    assert main(["list", "text_embeddings", "--all"]) == 0
    assert "transformers_text: 10 families of transformers" in capsys.readouterr().out


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list", "encoders"])
    assert "backbones" in capsys.readouterr().err
