"""What a clip costs that is read out of a long TAR, by the length of the TAR.

``python -m tests.benchmarks.archives`` prints CPU seconds, bytes read and calls that read for each
clip of 2,000, with the listing of the archive, for an archive of 500 and one of 5,000 members.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.fetching import archive_members, archives
from tests.archiving import write_tar

MEMBER_BYTES = 20_000
NUM_CLIPS = 2_000
LENGTHS = (500, 5_000)


@dataclass(frozen=True)
class Cost:
    """What a clip costs on average: CPU seconds, bytes that are read, and calls that read."""

    cpu_s: float
    num_bytes: float
    num_reads: float


def cost_of_a_clip(archive: Path, num_clips: int, folder: Path) -> Cost:
    """Reads so many clips out of an archive, each to a file of its own, and measures that."""
    archives.media_by_stem.cache_clear()
    archive_members._open_archive.cache_clear()
    begin, before = time.process_time(), io_counts()
    media = list(archives.media_by_stem((archive,)).values())
    for number in range(num_clips):
        # In the order of a shard, which is none. Each folder gets a member once.
        chosen = media[number * 7919 % len(media)]
        archives.unpack_if_needed(chosen, folder / str(number // len(media)))
    after = io_counts()
    return Cost(
        (time.process_time() - begin) / num_clips,
        (after["rchar"] - before["rchar"]) / num_clips,
        (after["syscr"] - before["syscr"]) / num_clips,
    )


def io_counts() -> dict[str, int]:
    """Returns how much this process has read so far, and in how many calls, as Linux counts."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}


def main() -> None:
    """Prints the costs and their ratio."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    costs = []
    with tempfile.TemporaryDirectory() as name:
        for length in LENGTHS:
            folder = Path(name, str(length))
            folder.mkdir()
            members = {f"c/{number:05}.mp4": bytes(MEMBER_BYTES) for number in range(length)}
            cost = cost_of_a_clip(write_tar(folder / "a.tar", members), NUM_CLIPS, folder)
            costs.append(cost)
            print(
                f"{length:5} members: {1000 * cost.cpu_s:.3f} ms, {cost.num_bytes:,.0f} bytes and "
                f"{cost.num_reads:.1f} reads a clip"
            )
    print(f"ratio: {costs[1].cpu_s / costs[0].cpu_s:.2f}")


if __name__ == "__main__":
    main()
