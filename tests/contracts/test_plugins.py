"""What every plugin must keep to, whichever plugins there are."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.backbones import ClipMedia
from avca_pipeline.datasets import demo
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import Limits
from avca_pipeline.models import Batch, Dims
from avca_pipeline.registry import PluginSettings
from tests.fasttext_model import train

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=60.0)
DIMS = Dims(video=6, audio=5, text=7)
SMALL: dict[str, Any] = {"epochs": 1, "batch_size": 8, "encoder_dropout": 0.0}

CONTRACTS = {
    "datasets": ("Settings", "inputs", "clips", "locate"),
    "backbones": (
        "Settings", "MODALITY", "BATCH_WINDOWS", "LIBRARIES", "spec", "published",
        "pretraining_classes", "windows", "build", "encode",
    ),
    "text_embeddings": ("Settings", "inputs", "vectors", "describe"),
    "splits": ("Settings", "inputs", "build"),
    "models": (
        "Settings", "build", "trainable", "losses", "after_step", "embed_clips", "embed_classes",
    ),
}  # fmt: skip
PLUGINS = [(folder, name) for folder in CONTRACTS for name in registry.names(folder)]


@pytest.mark.parametrize(("folder", "name"), PLUGINS)
def test_plugin_has_what_its_folder_promises(folder: str, name: str) -> None:
    module = registry.load(folder, name)
    assert [part for part in CONTRACTS[folder] if not hasattr(module, part)] == []
    assert issubclass(module.Settings, PluginSettings)
    assert module.__doc__
    assert module.Settings.__doc__
    for field in (
        type(module.Settings).__dict__.get("model_fields", {}) or module.Settings.model_fields
    ):
        owners = [base.__doc__ or "" for base in module.Settings.__mro__]
        assert any(f"{field}:" in text for text in owners), f"{field} is not documented"


def test_an_unknown_plugin_is_refused_with_the_nearest() -> None:
    with pytest.raises(PipelineError, match="did you mean 'vggish'"):
        registry.load("backbones", "vgish")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipMedia:
    settings = demo.Settings(num_classes=4, sources_per_class=1)
    folder = tmp_path_factory.mktemp("media")
    return ClipMedia(demo.locate(settings, demo.clips(settings)[0], folder))


@pytest.mark.parametrize("name", registry.names("backbones"))
def test_backbone(name: str, clip: ClipMedia, tmp_path: Path) -> None:
    module = registry.load("backbones", name)
    settings = module.Settings()
    network, weights = module.build(settings, tmp_path)
    assert weights == "random:0"
    assert not network.training
    windows = list(module.windows(settings, clip, LIMITS))
    spec = module.spec(settings)
    assert {(w.data.shape, w.data.dtype.name) for w in windows} == {
        (spec.window_shape, spec.window_dtype)
    }
    assert module.pretraining_classes(settings) == ()  # random weights have seen nothing
    data = torch.from_numpy(np.stack([window.data for window in windows]))
    num_valid = torch.tensor([window.num_valid for window in windows])
    with torch.inference_mode():
        together = module.encode(settings, network, data, num_valid)
        alone = torch.cat(
            [
                module.encode(settings, network, data[i : i + 1], num_valid[i : i + 1])
                for i in range(len(windows))
            ]
        )
        again, _ = module.build(settings, tmp_path)
        repeated = module.encode(settings, again, data, num_valid)
    assert together.shape == (len(windows), spec.dim)
    assert together.dtype == torch.float32
    assert torch.isfinite(together).all()
    assert together.std() > 0
    assert torch.equal(together, repeated)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * together.abs().max().item())


@pytest.fixture(params=registry.names("models"))
def model(request: pytest.FixtureRequest) -> tuple[ModuleType, Any]:
    module = registry.load("models", request.param)
    known = {key: value for key, value in SMALL.items() if key in module.Settings.model_fields}
    return module, module.Settings(**known)


def batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    sizes = (DIMS.video, DIMS.audio, DIMS.text) * 2
    return Batch(*[torch.randn(8, size, generator=generator) for size in sizes])


def build(model: tuple[ModuleType, Any], seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network: torch.nn.Module = model[0].build(model[1], DIMS)
    return network


def test_model_has_finite_losses_and_a_gradient_everywhere(model: tuple[ModuleType, Any]) -> None:
    module, settings = model
    network = build(model)
    terms = module.losses(settings, network, batch())
    assert all(torch.isfinite(term) for term in terms.values())
    terms["total"].backward()
    without = [p for p in module.trainable(settings, network) if p.grad is None]
    assert not without


def test_model_embeds_every_clip_by_itself(model: tuple[ModuleType, Any]) -> None:
    module, settings = model
    network = build(model).eval()
    some = batch()
    with torch.no_grad():
        whole = module.embed_clips(settings, network, some.video, some.audio)
        halves = torch.cat(
            [
                module.embed_clips(settings, network, some.video[part], some.audio[part])
                for part in (slice(4), slice(4, 8))
            ]
        )
        flipped = module.embed_clips(settings, network, some.video.flip(0), some.audio.flip(0))
        classes = module.embed_classes(settings, network, some.text)
    torch.testing.assert_close(whole, halves, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole, flipped.flip(0), rtol=1e-5, atol=1e-6)
    assert whole.shape == classes.shape


def test_model_depends_on_its_seed_alone(model: tuple[ModuleType, Any]) -> None:
    first, same, other = (build(model, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_model_learns_eight_clips(model: tuple[ModuleType, Any]) -> None:
    module, settings = model
    network, some = build(model), batch()
    optimiser = torch.optim.Adam(module.trainable(settings, network), lr=0.01)
    totals = []
    for _ in range(60):
        optimiser.zero_grad()
        total = module.losses(settings, network, some)["total"]
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert min(totals[-10:]) < 0.6 * totals[0]


@pytest.mark.parametrize("name", registry.names("text_embeddings"))
def test_text_embedding_is_a_function_of_the_name(name: str, tmp_path: Path) -> None:
    module = registry.load("text_embeddings", name)
    class_names = ["red fox", "BlueWhale", "grün <b>"]
    values: dict[str, Any] = {}
    if name == "fasttext":
        train(tmp_path / "model.bin")
        values["path"] = tmp_path / "model.bin"
    elif "path" in module.Settings.model_fields:
        table = {key: np.full(4, index, np.float32) for index, key in enumerate(class_names)}
        np.save(tmp_path / "vectors.npy", np.array(table, dtype=object), allow_pickle=True)
        values["path"] = tmp_path / "vectors.npy"
    settings = module.Settings(**values)
    whole = module.vectors(settings, class_names)
    assert whole.dtype == np.float32
    assert whole.shape[0] == 3
    np.testing.assert_array_equal(whole[::-1], module.vectors(settings, class_names[::-1]))
    assert module.describe(settings)
