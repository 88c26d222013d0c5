"""C3D's network against the reference implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from avca_pipeline.backbones import c3d
from tests.conftest import shared_folder
from tests.golden.filling import filled


def test_network_reads_the_published_names(tmp_path: Path) -> None:
    with np.load(shared_folder("reference", "networks.npz")) as file:
        golden = {key: file[key] for key in file if key.startswith("c3d/")}
    seed = int(golden["c3d/seed"])
    names = [str(name) for name in golden["c3d/state_names"]]
    shapes = dict(zip(names, shapes_of(), strict=True))
    state = {
        name: torch.from_numpy(filled(name, shape, seed, position, 2**0.5))
        for position, (name, shape) in enumerate(shapes.items())
    }
    torch.save(state, tmp_path / "c3d.pickle")

    settings = c3d.Settings(weights=str(tmp_path / "c3d.pickle"))
    network, sha256 = c3d.build(settings, tmp_path)
    assert len(sha256) == 64
    generator = np.random.default_rng([seed, 999])
    window = generator.standard_normal((1, 3, 16, 112, 112), dtype=np.float32)
    with torch.inference_mode():
        found = network(torch.from_numpy(window)).numpy()
    expected = golden["c3d/output"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def shapes_of() -> list[tuple[int, ...]]:
    """Returns the shapes of the published state dict, fc8 and its 487 sports included."""
    network, _ = c3d.build(c3d.Settings(), Path("unused"))
    shapes = [tuple(value.shape) for value in network.state_dict().values()]
    return [*shapes, (487, 4096), (487,)]
