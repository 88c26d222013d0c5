"""What was measured of time, on which machine: for estimates before a run.

The figures are those of ``docs/performance.md``. A plugin that is not here has not been measured.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """A machine on which rates were measured.

    Attributes:
        name: that a reader knows it by.
        num_cores: CPU cores that shared the extraction; a GPU does not depend on them.
        clips_per_s: clips of ten seconds that a backbone encodes a second, by its precision.
        steps_per_s: steps of a method's training a second, on one core or on the GPU, with the
            published settings.
    """

    name: str
    num_cores: int
    clips_per_s: dict[str, dict[str, float]]
    steps_per_s: dict[str, float]


CLIP_S = 10.0
"""Length of the clips whose rates were measured, in seconds."""

CPU = Machine(
    name="two cores of an AMD EPYC",
    num_cores=2,
    clips_per_s={"c3d": {"fp32": 0.28}, "vggish": {"fp32": 5.0}},
    steps_per_s={"avca": 6.7, "clipclap": 34.0, "tcaf": 1.15},
)
GPU = Machine(
    name="an NVIDIA H100",
    num_cores=16,
    clips_per_s={
        "c3d": {"fp32": 21.3, "bf16": 35.4},
        "selavi_audio": {"fp32": 125.8, "bf16": 151.9},
        "selavi_video": {"fp32": 11.7, "bf16": 25.9},
        "timm_frames": {"fp32": 77.6, "bf16": 72.1},
    },
    steps_per_s={
        "ale": 407.6,
        "apn": 488.8,
        "avca": 60.8,
        "avgzslnet": 50.1,
        "cjme": 89.8,
        "clipclap": 102.9,
        "devise": 553.2,
        "fvaegan": 17.2,
        "sje": 418.3,
    },
)
