"""Decodes a clip in a worker, runs the network where that is quick, and says what memory it took.

A script of its own, because the most memory that a process has used never goes down.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.extraction.decoding import decode_pool
from avca_pipeline.extraction.devices import CpuDevice
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.extraction.encoder import Encoder, encode_clips
from avca_pipeline.media import Limits
from avca_pipeline.media.workers import DecodedWindow
from tests.process_memory import peak_mib

LIMITS = Limits(max_pixels=10**8, max_duration_s=3600)
FRAMES = {"model": "test_resnet.r160_in1k", "rate_hz": 1}


def measured(name: str, media: MediaSegment, values: dict[str, Any], *, encode: bool) -> dict:
    backbone = registry.load("backbones", name)
    settings = backbone.Settings(**values)
    network, _ = backbone.build(settings, Path("unused"))
    encoder = Encoder(backbone, settings, network, CpuDevice())
    clip = EncodedClip("clip", media)
    with decode_pool(backbone, settings, [clip], LIMITS, device="cpu", num_workers=1) as pool:
        if encode:
            encode_clips(pool.events(), [clip], encoder)
            num_windows = clip.num_encoded
        else:
            num_windows = sum(isinstance(event, DecodedWindow) for event in pool.events())
        return {"windows": num_windows, "worker_mib": peak_mib(pool.workers[0].process.pid)}


if __name__ == "__main__":
    clip_media = MediaSegment(Path(sys.argv[1]))
    figures: dict[str, Any] = {
        "timm_frames": measured("timm_frames", clip_media, FRAMES, encode=True),
        "vggish": measured("vggish", clip_media, {}, encode=False),
    }
    figures["main_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))
