"""A manifest as large as VGGSound's stays small in memory."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from avca_pipeline.artifacts import split
from avca_pipeline.artifacts.audits import read_split_audit

NUM_CLIPS = 200_000
MAX_MEMORY_KIB = 2 << 20
CODE = """
import resource, sys
from pathlib import Path
from avca_pipeline.requests import ManifestRequest, SplitRequest
from avca_pipeline.stages import manifest, split

folder = Path(sys.argv[1])
settings = {"csv": str(folder / "vggsound.csv")}
request = ManifestRequest(plugin="vggsound", settings=settings, num_shards=200)
manifest.run(request, folder / "manifest.csv", folder / "shards")
request = SplitRequest(split="built", plugin="built", settings={}, backbones={})
split.run(request, folder / "manifest.csv", folder / "built.csv", folder / "built.audit.json")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_two_hundred_thousand_clips(tmp_path: Path) -> None:
    """Half of them share their video with another clip, mostly one of the same class."""
    drawn = random.Random(0)
    class_of = {video: video % 309 for video in range(NUM_CLIPS // 2)}
    with open(tmp_path / "vggsound.csv", "w") as file:
        for number in range(NUM_CLIPS):
            video = number % len(class_of)
            label = class_of[video] if drawn.random() < 0.97 else drawn.randrange(309)
            file.write(f'video{video:06d},{number % 600},"class, {label}",train\n')
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < MAX_MEMORY_KIB
    audit = read_split_audit(tmp_path / "built.audit.json")
    assert audit.passed
    counts = sum(count.clips for count in audit.counts.values())
    assert counts + len(audit.excluded) == NUM_CLIPS
    assert len(split.read(tmp_path / "built.csv")) == counts
