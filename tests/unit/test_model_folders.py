"""Models in folders: what is loaded is what is hashed, runs no code, and is refused in one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.backbones import transformers_images
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.digests import Digests
from avca_pipeline.text_embeddings import transformers_text
from avca_pipeline.transformer_models import model_files
from tests.transformer_models import saved


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("clip", tmp_path_factory.mktemp("model"))


def changed(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_a_model_that_needs_its_own_code_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('run')")
    changed(folder, model_type="own", auto_map={"AutoModel": "own.Model"})
    settings = transformers_images.Settings(model=str(folder))
    with pytest.raises(PipelineError, match="needs code of its repository, which is never run"):
        settings.look_up(tmp_path)


def test_damaged_folders_are_one_line(folder: Path, tmp_path: Path) -> None:
    settings = transformers_images.Settings(model=str(folder))
    assert set(settings.local_files().values()) == set(folder.iterdir())
    content = (folder / "model.safetensors").read_bytes()
    for damage in (content[:100], content[:-100], b"", b"\x80\x04K\x01."):
        (folder / "model.safetensors").write_bytes(damage)
        with pytest.raises(
            PipelineError, match="damaged, or not the files of a CLIPModel"
        ) as caught:
            transformers_images.build(settings, tmp_path)
        assert "\n" not in str(caught.value)
    (folder / "model.safetensors").unlink()
    with pytest.raises(PipelineError, match=r"has no model\.safetensors"):
        settings.look_up(tmp_path)
    (folder / "config.json").write_text("[]")
    with pytest.raises(PipelineError, match="is not the JSON file of a model"):
        model_files.read_json(folder / "config.json")


def in_shards(folder: Path, shift: float = 0.0) -> None:
    """Writes a folder's weights once more, in two files that an index lists."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    where = {}
    for part in range(2):
        name = f"model-0000{part + 1}-of-00002.safetensors"
        tensors = {key: weights[key] + shift for key in sorted(weights)[part::2]}
        save_file(tensors, folder / name, metadata={"format": "pt"})
        where |= dict.fromkeys(tensors, name)
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_the_checksum_is_that_of_the_weights_that_are_loaded(folder: Path, tmp_path: Path) -> None:
    """With a whole file beside an index, the library loads the whole file."""
    from safetensors.torch import load_file

    in_shards(folder, shift=1.0)
    whole = folder / "model.safetensors"
    settings = transformers_images.Settings(model=str(folder))
    name = "visual_projection.weight"
    of_whole = load_file(whole)[name]
    network, weights = transformers_images.build(settings, tmp_path)
    assert weights == hashlib.sha256(whole.read_bytes()).hexdigest()
    assert network.state_dict()[name].equal(of_whole)
    whole.unlink()
    network, of_shards = transformers_images.build(settings, tmp_path)
    assert of_shards != weights
    assert network.state_dict()[name].equal(of_whole + 1)
    # Of several files, what sha256sum prints about them.
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.glob("model-*.safetensors"))
    ]
    assert len(lines) == 2
    assert of_shards == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_an_index_that_changes_makes_features_anew(folder: Path, tmp_path: Path) -> None:
    in_shards(folder)
    (folder / "model.safetensors").unlink()
    settings = transformers_images.Settings(model=str(folder))
    digests = Digests(tmp_path / "digests.json")
    before = digests.of_all(settings.local_files().values())
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("00001-of", "00002-of", 1))
    assert digests.of_all(settings.local_files().values()) != before
    assert index in transformers_text.inputs(transformers_text.Settings(model=str(folder)))


@pytest.mark.parametrize("section", [None, "text_config"])
def test_a_config_that_names_other_weights_is_refused(
    section: str | None, folder: Path, tmp_path: Path
) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "other.safetensors").write_bytes(content)
    other = {"transformers_weights": "other.safetensors"}
    if section is None:
        changed(folder, **other)
    else:
        config = json.loads((folder / "config.json").read_text())
        changed(folder, **{section: config[section] | other})
    settings = transformers_images.Settings(model=str(folder))
    for use in (settings.look_up, lambda cache: transformers_images.build(settings, cache)):
        with pytest.raises(
            PipelineError, match="transformers_weights names other weights"
        ) as caught:
            use(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
@pytest.mark.parametrize("weights", ["published", "random"])
def test_a_config_does_not_say_which_code_computes_attention(
    key: str, weights: str, folder: Path, tmp_path: Path
) -> None:
    """The library would download what is named, and run it."""
    settings = transformers_images.Settings(model=str(folder), weights=weights)
    plain, _ = transformers_images.build(settings, tmp_path)
    changed(folder, **{key: "someone/kernel"})
    network, _ = transformers_images.build(settings, tmp_path)
    assert implementations(network) == implementations(plain)
    for name, parameter in network.state_dict().items():
        assert parameter.equal(plain.state_dict()[name])


def implementations(network: Any) -> set[str]:
    """Returns what computes attention in the parts of a network."""
    return {
        part.config._attn_implementation for part in network.modules() if hasattr(part, "config")
    }


def test_a_renamed_or_missing_weight_is_one_line(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "visual_projection.weight"
    weights["renamed"] = weights.pop(name)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PipelineError, match=f"not the weights of a CLIPModel: {name} is missing"):
        transformers_images.build(transformers_images.Settings(model=str(folder)), tmp_path)


def test_a_checksum_of_the_user_must_be_right(folder: Path, tmp_path: Path) -> None:
    right = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    good = transformers_images.Settings(model=str(folder), sha256=right)
    assert transformers_images.build(good, tmp_path)[1] == right
    wrong = transformers_images.Settings(model=str(folder), sha256="0" * 64)
    with pytest.raises(PipelineError, match="expected 0000"):
        transformers_images.build(wrong, tmp_path)
