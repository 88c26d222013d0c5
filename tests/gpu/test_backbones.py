"""A backbone's features on a GPU are those of the CPU, and nothing is waited for on the way."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.backbones import AnyBackbone
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.devices import check_precision, set_precision
from avca_pipeline.fetching.weights import WeightsSettings
from tests.transformer_models import settings_of

SMALL = {"timm_frames": {"model": "test_resnet.r160_in1k"}}
NUM_WINDOWS = 2
MODELS = tempfile.TemporaryDirectory()  # for as long as Python runs


@functools.cache
def built(name: str) -> tuple[AnyBackbone, WeightsSettings, torch.nn.Module]:
    """Returns a backbone with a network of random weights on the CPU."""
    backbone = registry.load("backbones", name)
    values = settings_of(name, Path(MODELS.name)) or SMALL.get(name, {})
    settings = backbone.Settings(**values)
    return backbone, settings, backbone.build(settings, Path("unused"))[0]


def random_batch(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns windows of noise, the last one half padded."""
    backbone, settings, _ = built(name)
    spec = backbone.spec(settings)
    generator = torch.Generator().manual_seed(0)
    shape = (NUM_WINDOWS, *spec.window_shape)
    if spec.window_dtype == "uint8":
        data = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    else:
        data = torch.rand(shape, generator=generator, dtype=torch.float64)
        # Sound is between -1 and 1, pictures that are not whole numbers between 0 and 255.
        data = data * 2 - 1 if len(spec.window_shape) == 1 else data * 255
        data = data.to(getattr(torch, spec.window_dtype))
    num_valid = torch.full((NUM_WINDOWS,), spec.window_shape[0])
    num_valid[-1] = max(1, spec.window_shape[0] // 2)
    return data, num_valid


@functools.cache
def expected(name: str) -> torch.Tensor:
    backbone, settings, network = built(name)
    with torch.inference_mode():
        return backbone.encode(settings, network, *random_batch(name))


def encoded(name: str, device: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Returns a backbone's features on a device, the second time that they are computed."""
    backbone, settings, network = built(name)
    network = network.to(device, dtype)
    data, num_valid = (tensor.to(device) for tensor in random_batch(name))
    try:
        with torch.inference_mode():
            backbone.encode(settings, network, data, num_valid)
            if device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode("error")
            features = backbone.encode(settings, network, data, num_valid)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
        network.to("cpu", torch.float32)
    return features.cpu()


@pytest.mark.parametrize("name", registry.names("backbones"))
def test_features_are_those_of_the_cpu(name: str, device: str) -> None:
    """Computing them waits for nothing, or torch raises an error here."""
    set_precision("fp32")
    right = expected(name)
    features = encoded(name, device)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, right, rtol=1e-3, atol=1e-3 * right.abs().max().item())
    assert torch.equal(features, encoded(name, device))


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize("name", registry.names("backbones"))
def test_lower_precision_is_near(name: str, precision: str, gpu: str) -> None:
    try:
        check_precision(precision, gpu)
    except PipelineError as error:
        pytest.skip(str(error))
    right = expected(name)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    set_precision(precision)
    try:
        features = encoded(name, gpu, dtype)
    finally:
        set_precision("fp32")
    deviation = (features - right).norm() / right.norm()
    assert deviation < (0.05 if precision == "bf16" else 0.01)
