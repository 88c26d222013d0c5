"""Once a backbone has encoded a batch, the next one moves nothing between host and device.

Tensors on torch's ``meta`` device have shapes and no numbers. They stand for a GPU here: whatever
makes one of them from a tensor of the host would be a copy for which a GPU is waited for, and
whatever reads one of them back fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from avca_pipeline import registry
from tests.transformer_models import saved

SETTINGS = {
    "c3d": [{}, {"preprocessing": "official-script"}],
    "timm_frames": [{"model": "test_resnet.r160_in1k"}],
}
# Families whose networks in the library move nothing themselves. Those of the others read a mask
# back (PE-AV, CLAP with fusion) or copy the positions (VideoMAE).
FAMILIES = {
    "transformers_images": ("clip", "siglip", "metaclip_2"),
    "transformers_video": ("xclip", "videoprism", "vjepa2"),
    "transformers_audio": ("clap_without_fusion", "ast"),
}


FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)


class Transfers(TorchFunctionMode):
    """Notes the functions of torch that copy from the host to another device, or back."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[str] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        before, after = (
            {leaf.device.type for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)}
            for values in ((args, kwargs), result)
        )
        is_copy = before and after and before != after
        if is_copy or (function in FROM_NUMBERS and after == {"meta"}):
            self.functions.append(function.__name__)
        return result


def test_a_transfer_is_noted() -> None:
    with Transfers() as transfers:
        data = torch.zeros(2, device="meta") + 1
        data.new_tensor([1.0, 2.0])
        torch.tensor([1.0], device="meta")
        torch.from_numpy(np.zeros(2)).to("meta")
    assert transfers.functions == ["new_tensor", "tensor", "to"]


@pytest.mark.parametrize("name", registry.names("backbones"))
def test_batches_are_encoded_without_waiting(name: str, tmp_path: Path) -> None:
    backbone = registry.load("backbones", name)
    models = [{"model": str(saved(family, tmp_path))} for family in FAMILIES.get(name, ())]
    for values in models or SETTINGS.get(name, [{}]):
        settings = backbone.Settings(**values)
        spec = backbone.spec(settings)
        network = backbone.build(settings, Path("unused"))[0].to("meta")
        dtype = getattr(torch, spec.window_dtype)
        data = torch.zeros((2, *spec.window_shape), dtype=dtype, device="meta")
        num_valid = torch.zeros(2, dtype=torch.int64, device="meta")
        with torch.inference_mode():
            first = backbone.encode(settings, network, data, num_valid)
            with Transfers() as transfers:
                second = backbone.encode(settings, network, data, num_valid)
        assert transfers.functions == []
        assert first.shape == second.shape
        assert second.dtype == torch.float32
