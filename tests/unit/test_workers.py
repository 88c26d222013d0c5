"""Decode workers: whatever happens to one, every clip ends with its windows or a reason."""

from __future__ import annotations

import faulthandler
import functools
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.media import MediaError, workers
from avca_pipeline.media.windows import RESTART, Window
from avca_pipeline.media.workers import DecodedWindow, DecodePool, FinishedClip, RestartedClip

SHAPE = (3, 2)


def windows(folder: Path, clip: str) -> Iterator[Window]:
    """Yields as many windows as the clip's name says, and then does what it says."""
    count, action = clip.split()
    for number in range(int(count)):
        yield Window(np.full(SHAPE, number, np.uint8), SHAPE[0] - number % 2)
    if action == "again":
        yield RESTART
        yield Window(np.full(SHAPE, 8, np.uint8), SHAPE[0])
    if action == "reject":
        raise MediaError("no video stream")
    if action == "surprise":
        raise ValueError("what is this")
    if action == "give-up":
        raise PipelineError("no such model")
    if action.startswith("SIG"):
        faulthandler.disable()  # the crash is meant
        os.kill(os.getpid(), getattr(signal, action))
    if action == "die-once" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "hang":
        signal.pause()


def pool_of(folder: Path, clips: list[str], num_workers: int) -> DecodePool:
    source = functools.partial(windows, folder)
    return DecodePool(source, clips, SHAPE, "uint8", num_workers=num_workers, num_slots=4)


def run(
    folder: Path, clips: list[str], num_workers: int
) -> tuple[dict[int, list[int]], dict[int, str]]:
    """Returns each clip's windows and the reasons of those that were rejected."""
    seen, reasons = defaultdict(list), {}
    with pool_of(folder, clips, num_workers) as pool:
        for item in pool.events():
            if isinstance(item, DecodedWindow):
                assert item.num_valid == SHAPE[0] - item.data[0, 0] % 2
                seen[item.job].append(int(item.data[0, 0]))
            elif isinstance(item, FinishedClip):
                reasons[item.job] = item.reason
            else:
                seen.pop(item.job, None)
    assert not [w for w in pool.workers if w.process.is_alive()]
    return seen, reasons


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_every_clip_ends_once_with_its_windows_in_order(tmp_path: Path, num_workers: int) -> None:
    clips = [f"{count} end" for count in (3, 0, 40, 1, 7, 2, 2)]
    seen, reasons = run(tmp_path, clips, num_workers)
    assert reasons == dict.fromkeys(range(len(clips)), "")
    assert {job: seen.get(job, []) for job in reasons} == {
        job: list(range(int(clip.split()[0]))) for job, clip in enumerate(clips)
    }


def test_a_clip_that_fails_costs_no_other(tmp_path: Path) -> None:
    clips = ["2 end", "1 reject", "3 end", "1 surprise", "2 SIGSEGV", "4 die-once", "5 end"]
    seen, reasons = run(tmp_path, clips, 2)
    assert {job: reason for job, reason in reasons.items() if reason} == {
        1: "no video stream",
        3: "decoder failed: ValueError: what is this",
        4: "decoder died: signal 11",
    }
    assert (tmp_path / "died").exists()
    for job in (0, 2, 5, 6):
        assert seen[job] == list(range(int(clips[job].split()[0])))


def test_a_clip_may_begin_anew(tmp_path: Path) -> None:
    seen, reasons = run(tmp_path, ["2 end", "5 again", "2 end"], 1)
    assert (seen, reasons) == ({0: [0, 1], 1: [8], 2: [0, 1]}, {0: "", 1: "", 2: ""})


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_worker_that_others_end_rejects_no_clip(name: str, tmp_path: Path) -> None:
    """As where memory is short: another run may find enough of it."""
    with pytest.raises(TransientError, match=r"ended from outside .* memory"):
        run(tmp_path, ["2 end", f"1 {name}", "2 end"], 1)


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons, num_restarts = {}, 0
    with pool_of(tmp_path, ["1 hang", "2 end"], 1) as pool:
        for item in pool.events():
            # No silence is too short for a worker that works, however busy the machine is; after
            # its one window the first clip is silent for ever, and any silence is enough.
            hangs = isinstance(item, DecodedWindow) and item.job == 0
            monkeypatch.setattr(workers, "SILENCE_S", 0.0 if hangs else 600.0)
            if isinstance(item, FinishedClip):
                reasons[item.job] = item.reason
            num_restarts += isinstance(item, RestartedClip)
    assert reasons == {0: "decoder died: silent for 0 s", 1: ""}
    assert num_restarts == 1


def test_a_mistake_in_the_settings_ends_the_stage(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no such model"):
        run(tmp_path, ["2 end", "1 give-up", "2 end"], 2)


def test_no_clips(tmp_path: Path) -> None:
    assert run(tmp_path, [], 3) == ({}, {})


SMALL_MACHINE = """
mount --make-rprivate / && mount -t tmpfs -o size=64k none /dev/shm &&
mount -t tmpfs -o size=64k none "$1" && TMPDIR=$1 exec "$2" -c "$3"
"""
LARGE_WINDOWS = """
import numpy as np
from avca_pipeline.media.windows import RESTART, Window
from avca_pipeline.media.workers import DecodePool, DecodedWindow
shape = (1000, 1000)
def windows(clip):
    for number in range(5):
        yield Window(np.full(shape, clip + number, np.uint8), shape[0])
total = 0
with DecodePool(windows, [1, 2, 3], shape, "uint8", num_workers=2, num_slots=4) as pool:
    for item in pool.events():
        total += int(item.data.sum()) if isinstance(item, DecodedWindow) else 0
print(total)
"""


def test_no_room_in_dev_shm_nor_in_tmpdir(tmp_path: Path) -> None:
    """As in a container: windows are in memory that belongs to no folder."""
    command = ["unshare", "--mount", "sh", "-c", SMALL_MACHINE, "sh", str(tmp_path)]
    done = subprocess.run(
        [*command, sys.executable, LARGE_WINDOWS], capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no small disks can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 10**6 * sum(c + n for c in (1, 2, 3) for n in range(5))
