"""The layouts in which the paper's own backbones are published.

A tensor of such a file is one number, repeated without being stored again: the files have all names
and shapes of the real ones, and few bytes.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.artifacts.npz_arrays import read_npz
from avca_pipeline.backbones import c3d, vggish
from avca_pipeline.errors import PipelineError

VGGISH_CONVOLUTIONS = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256),
                       13: (512, 512)}  # fmt: skip
VGGISH_LINEAR = {0: (4096, 512 * 24), 2: (4096, 4096), 4: (128, 4096)}
C3D_CONVOLUTIONS = {"conv1": (64, 3), "conv2": (128, 64), "conv3a": (256, 128),
                    "conv3b": (256, 256), "conv4a": (512, 256), "conv4b": (512, 512),
                    "conv5a": (512, 512), "conv5b": (512, 512)}  # fmt: skip
C3D_LINEAR = {"fc6": (4096, 8192), "fc7": (4096, 4096), "fc8": (487, 4096)}


def vggish_layout(linear: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (wide, narrow) in VGGISH_CONVOLUTIONS.items():
        shapes[f"features.{number}.weight"] = (wide, narrow, 3, 3)
        shapes[f"features.{number}.bias"] = (wide,)
    for number, shape in VGGISH_LINEAR.items():
        shapes[f"{linear}.{number}.weight"] = shape
        shapes[f"{linear}.{number}.bias"] = shape[:1]
    return shapes


def c3d_layout() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (wide, narrow) in C3D_CONVOLUTIONS.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (wide, narrow, 3, 3, 3), (wide,)
    for name, shape in C3D_LINEAR.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]
    return shapes


LAYOUTS: dict[str, tuple[Any, Callable[[], dict[str, tuple[int, ...]]]]] = {
    "c3d.pickle": (c3d, c3d_layout),
    "vggish-10086976.pth": (vggish, lambda: vggish_layout("embeddings")),
    "pytorch_vggish.pth": (vggish, lambda: vggish_layout("fc")),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_published_layout_loads_and_a_renamed_key_is_one_line(
    name: str, tmp_path: Path
) -> None:
    module, layout = LAYOUTS[name]
    state = {
        key: torch.full((1,), 0.001 * (number + 1)).expand(shape)
        for number, (key, shape) in enumerate(layout().items())
    }
    path = tmp_path / name
    torch.save(state, path)
    settings = module.Settings(weights=str(path))
    network, _ = module.build(settings, tmp_path)
    loaded = network.state_dict()
    for key, value in state.items():
        if not key.startswith("fc8."):
            assert (loaded[key.replace("fc.", "embeddings.")] == value.reshape(-1)[0]).all()
    for key in (next(iter(state)), list(state)[-3]):
        renamed = {other.replace(key, f"{key}s"): value for other, value in state.items()}
        torch.save(renamed, path)
        with pytest.raises(PipelineError, match="not the weights of this network") as caught:
            module.build(settings, tmp_path)
        assert key.rpartition(".")[2] in str(caught.value)
        assert "\n" not in str(caught.value)


def pca(**changed: Any) -> dict[str, Any]:
    """Returns what is in Google's file, where the means are a column."""
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((128, 128)).astype(np.float32)
    means = generator.standard_normal((128, 1)).astype(np.float32)
    return {"pca_eigen_vectors": vectors, "pca_means": means} | changed


def settings_with(path: Path) -> vggish.Settings:
    return vggish.Settings(postprocess="pca-quantised", pca_weights=str(path))


def test_googles_parameters_of_the_pca_are_those_of_the_pytorch_release(tmp_path: Path) -> None:
    arrays = pca()
    np.savez(tmp_path / "vggish_pca_params.npz", **arrays)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(tensors, tmp_path / "vggish_pca_params-970ea276.pth")
    embedded = torch.rand(5, 128, generator=torch.Generator().manual_seed(0))
    found = []
    for path in sorted(tmp_path.glob("vggish_pca_params*")):
        network = torch.nn.ModuleDict()
        vggish.add_pca(network, settings_with(path), tmp_path)
        found.append(vggish.quantised(network, embedded))
    assert torch.equal(*found)
    rotated = (embedded.numpy() - arrays["pca_means"].ravel()) @ arrays["pca_eigen_vectors"].T
    expected = (np.clip(rotated, -2, 2) + 2) * (255 / 4)
    np.testing.assert_allclose(found[0].numpy(), np.floor(expected), atol=1.0)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("must-not-exist"),))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pca_means": np.zeros(127)}, "has no pca_means of shape"),
        ({"pca_means": np.array([Hostile()], dtype=object)}, "no numbers"),
        ({"pca_means": np.array(["a"])}, "no numbers"),
        ({"pca_means": None, "renamed": np.zeros(128)}, "has no array pca_means"),
    ],
)
def test_a_wrong_file_of_the_pca_is_one_line(
    changed: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pca.npz"
    arrays = {name: array for name, array in pca(**changed).items() if array is not None}
    np.savez(path, **arrays)
    with pytest.raises(PipelineError, match=message) as caught:
        vggish.add_pca(torch.nn.ModuleDict(), settings_with(path), tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "must-not-exist").exists()


def test_a_damaged_file_of_arrays_is_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", **pca())
    content = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "damaged.npz"
    for damage in (b"", content[:100], content[:-30], pickle.dumps(Hostile())):
        path.write_bytes(damage)
        with pytest.raises(PipelineError, match=r"not an \.npz file of numbers"):
            read_npz(path, ["pca_means"])
    with pytest.raises(PipelineError, match="cannot be read"):
        read_npz(tmp_path / "absent.npz", ["pca_means"])


def test_an_array_that_announces_more_than_it_has_is_not_made_room_for(tmp_path: Path) -> None:
    np.save(tmp_path / "means.npy", np.zeros(16))
    honest = (tmp_path / "means.npy").read_bytes()
    announced = honest.replace(b"'shape': (16,), }   ", b"'shape': (999,), }  ")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("pca_means.npy", announced)
    with pytest.raises(PipelineError, match=r"announces \(999,\) and has 128 bytes"):
        read_npz(tmp_path / "a.npz", ["pca_means"])
