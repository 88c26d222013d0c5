"""Decodes a clip in a worker, runs the network where that is quick, and says what memory it took.

A script of its own, because the most memory that a process has used never goes down.
"""

from __future__ import annotations

import functools
import json
import resource
import sys
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.media import Limits
from avca_pipeline.media.workers import DecodedWindow, DecodePool
from avca_pipeline.stages.extract import BATCHES_AHEAD, EncodedClip, Encoder
from tests.process_memory import peak_mib

LIMITS = Limits(max_pixels=10**8, max_duration_s=3600)
FRAMES = {"model": "test_resnet.r160_in1k", "rate_hz": 1}


def measured(name: str, media: MediaSegment, values: dict[str, Any], *, encode: bool) -> dict:
    module = registry.load("backbones", name)
    settings = module.Settings(**values)
    spec = module.spec(settings)
    network, _ = module.build(settings, Path("unused"))
    encoder, clip, count = (
        Encoder(module, settings, spec, network, "cpu"),
        EncodedClip("clip", media),
        0,
    )
    pool = DecodePool(
        functools.partial(module.windows, settings, limits=LIMITS),
        [media],
        spec.window_shape,
        spec.window_dtype,
        num_workers=1,
        num_slots=BATCHES_AHEAD * encoder.batch_size,
    )
    with pool:
        for item in pool.events():
            if isinstance(item, DecodedWindow):
                count += 1
                if encode:
                    encoder.put(clip, item.data, item.num_valid)
        encoder.flush()
        return {"windows": count, "worker_mib": peak_mib(pool.workers[0].process.pid)}


if __name__ == "__main__":
    clip_media = MediaSegment(Path(sys.argv[1]))
    figures: dict[str, Any] = {
        "timm_frames": measured("timm_frames", clip_media, FRAMES, encode=True),
        "vggish": measured("vggish", clip_media, {}, encode=False),
    }
    figures["main_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))
