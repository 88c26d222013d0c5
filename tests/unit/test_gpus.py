"""Each job has a GPU of its own; more on one only where that is wanted."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import torch

from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.fetched import FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime import gpus
from avca_pipeline.runtime.device import choose_device
from avca_pipeline.stages import extract
from tests.builders import extract_request
from tests.made_up_gpus import FAST, SLOW, Machine

TWO = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-2)
"""
CUT_UP = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd-4)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
"""
HOLD = """
import sys
from pathlib import Path
from avca_pipeline.runtime import gpus, logs
logs.show_on_screen()
print(gpus.reserve(sys.argv[3:], int(sys.argv[2]), Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_gpus_are_those_that_cuda_shows_in_its_order(machine: Machine) -> None:
    """The fast one first, unless the order of the slots is asked for; without any other tool."""
    machine.add_driver()
    machine.add_torch("13.0")
    assert machine.visible() == [FAST, SLOW]
    assert machine.visible(CUDA_VISIBLE_DEVICES="0") == [FAST]
    assert machine.visible(CUDA_VISIBLE_DEVICES="1,0") == [SLOW, FAST]
    assert machine.visible(CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID") == [SLOW]
    assert machine.visible(CUDA_VISIBLE_DEVICES="0,7,1") == [FAST]
    assert machine.visible(CUDA_VISIBLE_DEVICES="") == []
    assert machine.visible(CUDA_VISIBLE_DEVICES="-1") == []
    machine.add_tool(TWO)  # whose order is that of the slots
    assert machine.visible() == [FAST, SLOW]


def test_where_torch_can_use_none_there_is_none(machine: Machine) -> None:
    """Whatever else is there: jobs would wait for each other's GPU and then use the CPU."""
    machine.add_tool(TWO)
    machine.add_torch("13.0")
    assert machine.visible() == []  # No driver.
    machine.add_driver()
    assert machine.visible(NO_DEVICE="1") == []
    assert machine.visible(DRIVER_VERSION="12080") == []  # Older than torch.
    assert machine.visible(DRIVER_VERSION="13010") == [FAST, SLOW]
    shutil.rmtree(machine.folder / "torch")
    machine.add_torch(None)  # Built for the CPU.
    assert machine.visible() == []


def test_parts_of_a_gpu_count(machine: Machine) -> None:
    """CUDA shows one part alone, and each can be chosen by its id."""
    machine.add_driver()
    machine.add_torch("13.0")
    machine.add_tool(CUT_UP)
    assert machine.visible() == ["MIG-cccc-3", "MIG-dddd-4", "GPU-bbbb-2"]
    assert machine.visible(CUDA_VISIBLE_DEVICES="0,1") == ["MIG-cccc-3", "GPU-bbbb-2"]
    assert machine.visible(NO_DEVICE="1") == []


def test_amd_s_gpus_have_numbers(machine: Machine) -> None:
    machine.add_torch(None, "6.4", count=2)
    assert machine.visible() == ["HIP-0", "HIP-1"]
    assert machine.visible(HIP_VISIBLE_DEVICES="3,1") == ["HIP-3", "HIP-1"]
    assert machine.visible(CUDA_VISIBLE_DEVICES="5, 4") == ["HIP-5", "HIP-4"]
    environment = {"HIP_VISIBLE_DEVICES": "3,1"}
    gpus.choose("HIP-1", environment)
    assert environment == {"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1"}
    environment = {"CUDA_VISIBLE_DEVICES": "0,1"}
    gpus.choose(FAST, environment)
    assert environment == {"CUDA_VISIBLE_DEVICES": FAST}


def asked(*_: object, **__: object) -> bool:
    raise AssertionError("a GPU was asked")


def test_on_the_cpu_no_gpu_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("is_available", "device_count", "init"):
        monkeypatch.setattr(torch.cuda, name, asked)
    monkeypatch.setattr(gpus, "visible_or_why", asked)
    assert choose_device("cpu", None, 1, "avca train") == "cpu"


def test_job_and_scheduler_decide_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that the scheduler does not count has no lock, so that no job may use it."""
    monkeypatch.setattr(gpus, "visible_or_why", lambda: ([], "none of these"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto", None, 1, "avca train") == "cpu"
    with pytest.raises(PipelineError, match=r"no usable GPU \(none of these\)"):
        choose_device("cuda", None, 1, "avca train")


def waited(_: float) -> None:
    raise AssertionError("this process waits for itself")


def test_a_process_that_asks_again_gets_its_own_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each function for Python asks; on the only GPU the second one waited for the first."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is as before after the test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(gpus, "visible_or_why", lambda: (["GPU-a"], ""))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpus.time, "sleep", waited)
    for _ in range(3):
        assert choose_device("auto", None, 1, "avca predict") == "cuda"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    # With two there are, it keeps to the one that it has, and leaves the other to others.
    assert [gpus.reserve(["GPU-b", "GPU-c"], folder=tmp_path / "two") for _ in range(2)] == [
        "GPU-b", "GPU-b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("built_for", "variables", "reason"),
    [
        (None, {}, "this torch is built without CUDA"),
        ("13.0", {"LD_LIBRARY_PATH": "/"}, "OSError: libcuda.so.1: cannot open shared object"),
        ("13.0", {"NO_DEVICE": "1"}, "cuInit: error 100"),
        ("13.0", {"CUDA_VISIBLE_DEVICES": ""}, "cuInit: error 100; CUDA_VISIBLE_DEVICES is ''"),
        ("13.0", {"DRIVER_VERSION": "12080"}, "its driver is for CUDA 12.8, which is too old for"),
    ],
)
def test_that_a_gpu_is_not_shown_is_said(
    built_for: str | None, variables: dict[str, str], reason: str, machine: Machine
) -> None:
    """A job would take a hundred times as long, and nobody would know why."""
    machine.add_driver()
    machine.add_torch(built_for)
    assert machine.device(has_nvidia=True, **variables).startswith(
        f"avca train: CUDA shows no GPU ({reason}"
    )
    assert machine.device(has_nvidia=False, **variables) == "avca train: on the CPU\n"


def test_precision_is_asked_of_the_gpu_itself_and_after_the_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers forked later would share its context; an emulated precision is slower than fp32."""
    calls = []

    def is_supported(including_emulation: bool = True) -> bool:
        calls.append((including_emulation, len(multiprocessing.active_children())))
        return False

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    media = tmp_path / "a.mp4"
    media.write_bytes(b"no video")
    sha256, status = hashlib.sha256(b"no video").hexdigest(), media.stat()
    row = FetchedClip(
        "a", fetched.OK, path=str(media), sha256=sha256,
        size=status.st_size, modified_ns=status.st_mtime_ns,
    )  # fmt: skip
    fetched.write(tmp_path / "fetched.csv", [row])
    manifest.write(tmp_path / "clips.csv", [Clip("a", "a", "one", str(media))])
    with pytest.raises(PipelineError, match="precision: bf16: this cuda has no instructions"):
        extract.run(
            extract_request("vggish", {"precision": "bf16"}),
            tmp_path / "clips.csv",
            tmp_path / "fetched.csv",
            tmp_path / "out.h5",
            cache=tmp_path,
            device="cuda",
            workers=2,
        )
    assert calls == [(False, 1)]


def holder(folder: Path, jobs_per_gpu: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(jobs_per_gpu), "GPU-a", "GPU-b"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_places_are_shared_out_and_freed_by_any_end(tmp_path: Path, jobs_per_gpu: int) -> None:
    jobs = [holder(tmp_path / "locks", jobs_per_gpu) for _ in range(2 * jobs_per_gpu)]
    got = [job.stdout.readline().strip() for job in jobs]
    assert Counter(got) == {"GPU-a": jobs_per_gpu, "GPU-b": jobs_per_gpu}
    late = holder(tmp_path / "locks", jobs_per_gpu)
    assert "waiting for a free place" in late.stderr.readline()
    os.kill(jobs[-1].pid, signal.SIGKILL)
    assert late.stdout.readline().strip() == got[-1]
    for job in (*jobs, late):
        job.communicate()


def test_the_least_used_is_taken_first(tmp_path: Path) -> None:
    jobs = [holder(tmp_path / "locks", 2) for _ in range(2)]
    assert {job.stdout.readline().strip() for job in jobs} == {"GPU-a", "GPU-b"}
    for job in jobs:
        job.communicate()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(PipelineError, match="locks: cannot be written"):
        gpus.reserve(["GPU-a"], folder=tmp_path / "locks")


def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    """Whoever owns it could hold the locks, or have them written elsewhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(PipelineError, match="link: belongs to someone else"):
        gpus.reserve(["GPU-a"], folder=tmp_path / "link")
    if os.getuid() == 0:
        os.chown(tmp_path / "real", 12345, 12345)
        with pytest.raises(PipelineError, match="real: belongs to someone else"):
            gpus.reserve(["GPU-a"], folder=tmp_path / "real")
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("options", ["size=4k,nr_inodes=1", "ro"])
def test_without_room_for_a_lock_a_gpu_is_used_and_it_is_said(
    options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be made here: {done.stderr.strip()}")
    try:
        assert gpus.reserve(["GPU-a"], folder=tmp_path / "locks") == "GPU-a"
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
    assert "locks: no lock can be written" in capsys.readouterr().err


def test_without_locks_jobs_begin_at_different_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    names = ["GPU-a", "GPU-b", "GPU-c"]
    got = set()
    for process in range(300, 303):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        got.add(gpus.reserve(names, folder=tmp_path / f"locks{process}"))
    assert got == set(names)
    assert capsys.readouterr().err.count("several jobs may choose the same GPU") == 1
