"""Which GPU a job works on: each has its own, unless the config lets several share one.

What GPUs there are is decided here alone, for the scheduler and for the jobs: those that CUDA
shows and that this build of torch can use. CUDA is asked in a process of its own, because whoever
asks it cannot change its mind later, and without torch, whose import takes seconds.

A job takes a place on a GPU by locking a file in the host's temporary folder. The lock goes with
the process, however that ends, and nothing has to hand out places: jobs of one run, of two runs
and of a batch system that shows every GPU to every job stay out of each other's way alike.
"""

from __future__ import annotations

import errno
import functools
import importlib.util
import logging
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime import locks

logger = logging.getLogger(__name__)

_own: set[tuple[Path, str]] = set()
"""Folders of locks, and GPUs on which this process has a place."""

LISTED = re.compile(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)")
POLL_S = 1.0
ASK_S = 120.0
RISK = "several jobs may choose the same GPU"
# Errors of disks on which no lock can be written. A GPU without a lock is better than no GPU.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT)

CUDA_VARIABLES = ("CUDA_VISIBLE_DEVICES",)
# torch demands equal values where both are set.
HIP_VARIABLES = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
CHOOSING = (*HIP_VARIABLES, "CUDA_DEVICE_ORDER")
HIP = "HIP-"
NVIDIA = Path("/proc/driver/nvidia")

# Prints the version of CUDA that the driver has and the ids of the GPUs that it shows, in its
# order. The driver's own interface opens no context on any of them.
ASK_CUDA = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    if error := getattr(cuda, name)(*arguments):
        raise SystemExit(f"{name}: error {error}")
call("cuInit", 0)
number, device = ctypes.c_int(), ctypes.c_int()
call("cuDriverGetVersion", ctypes.byref(number))
print(number.value)
call("cuDeviceGetCount", ctypes.byref(number))
for index in range(number.value):
    call("cuDeviceGet", ctypes.byref(device), index)
    whole, part = (ctypes.c_ubyte * 16)(), (ctypes.c_ubyte * 16)()
    call("cuDeviceGetUuid", whole, device)
    if not hasattr(cuda, "cuDeviceGetUuid_v2") or cuda.cuDeviceGetUuid_v2(part, device):
        part = whole
    text = bytes(part).hex()
    cuts = (0, 8, 12, 16, 20, 32)
    groups = [text[begin:end] for begin, end in zip(cuts, cuts[1:])]
    print("-".join(["GPU" if bytes(part) == bytes(whole) else "MIG", *groups]))
"""
ASK_HIP = "import torch; print(torch.cuda.device_count())"


def visible(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the ids of the GPUs that torch can use in a process with these variables.

    They are in CUDA's order, and ``CUDA_VISIBLE_DEVICES`` means what it means to CUDA. A GPU that
    is cut up (MIG) counts as its parts, of which CUDA itself shows one at a time.
    """
    return visible_or_why(environment)[0]


def visible_or_why(environment: Mapping[str, str] = os.environ) -> tuple[list[str], str]:
    """Returns the same ids, and the reason if there are none."""
    built = _torch_built_for()
    if built.get("hip"):
        return _of_hip(environment), "this torch is built for AMD's GPUs, and HIP shows none"
    if not built.get("cuda"):
        return [], "this torch is built without CUDA"
    lines, trouble = _asked(ASK_CUDA, environment)
    if not lines:
        chosen = environment.get("CUDA_VISIBLE_DEVICES")
        return [], trouble + ("" if chosen is None else f"; CUDA_VISIBLE_DEVICES is {chosen!r}")
    if int(lines[0]) // 1000 < int(str(built["cuda"]).split(".")[0]):
        has = f"{int(lines[0]) // 1000}.{int(lines[0]) % 1000 // 10}"
        return (
            [],
            f"its driver is for CUDA {has}, which is too old for this torch ({built['cuda']})",
        )
    parts = _parts()
    if lines[1:] and any(name.startswith("MIG-") for gpu in parts for name in gpu):
        chosen = environment.get("CUDA_VISIBLE_DEVICES")
        return _of_parts(parts, chosen), f"no part of a GPU is CUDA_VISIBLE_DEVICES={chosen!r}"
    return list(dict.fromkeys(lines[1:])), "there is none"


def is_expected() -> bool:
    """Returns whether this machine has a driver of NVIDIA's, so that no GPU is a surprise."""
    return NVIDIA.exists()


def choose(name: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Has CUDA show one GPU alone; only before it is first used."""
    for variable in HIP_VARIABLES if name.startswith(HIP) else CUDA_VARIABLES:
        environment[variable] = name.removeprefix(HIP)


@functools.cache
def _torch_built_for() -> dict[str, Any]:
    """Returns what torch says of its build, without importing it."""
    module = importlib.util.find_spec("torch")
    if module is None or module.origin is None:
        return {}
    return runpy.run_path(str(Path(module.origin).with_name("version.py")))


def _asked(code: str, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """Returns the lines that Python code prints in a process with these variables, or its error."""
    own = {name: value for name, value in os.environ.items() if name not in CHOOSING}
    chosen = {name: environment[name] for name in CHOOSING if name in environment}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=own | chosen,
            capture_output=True, text=True, check=False, timeout=ASK_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return [], getattr(error, "strerror", None) or f"no answer in {ASK_S:g} s"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return [], said[-1] if said else f"exit code {done.returncode}"
    return done.stdout.split(), ""


def _of_hip(environment: Mapping[str, str]) -> list[str]:
    """Returns AMD's GPUs by number, the only name that HIP takes."""
    count = int("".join(_asked(ASK_HIP, environment)[0]) or 0)
    chosen = next((environment[name] for name in HIP_VARIABLES if name in environment), None)
    numbers = map(str, range(count)) if chosen is None else map(str.strip, chosen.split(","))
    return [f"{HIP}{number}" for number in numbers][:count]


def _parts() -> list[list[str]]:
    """Returns for each of NVIDIA's GPUs its parts, or itself; nothing without ``nvidia-smi``."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    parts: list[list[str]] = []
    for name in LISTED.findall(listing):
        if name.startswith("GPU-"):
            parts.append([name])
        elif parts:
            is_whole = parts[-1][0].startswith("GPU-")
            parts[-1] = [name] if is_whole else [*parts[-1], name]
    return parts


def _of_parts(parts: list[list[str]], chosen: str | None) -> list[str]:
    """Returns the parts that ``CUDA_VISIBLE_DEVICES`` names, up to the first that it cannot."""
    everything = [name for gpu in parts for name in gpu]
    if chosen is None:
        return everything
    chosen_parts: list[str] = []
    for entry in filter(None, map(str.strip, chosen.split(","))):
        if entry.isdecimal():
            names = [gpu[0] for gpu in parts[int(entry) : int(entry) + 1]]
        else:
            names = [name for name in everything if name.startswith(entry)][:1]
        if not names:
            break
        chosen_parts += names
    return list(dict.fromkeys(chosen_parts))


def reserve(names: Sequence[str], jobs_per_gpu: int = 1, folder: Path | None = None) -> str:
    """Returns a GPU with a free place and keeps the place until this process ends.

    The least used one comes first. Waits where there is no place. A process has one place: it gets
    the same GPU when it asks again. Where no lock can be written, it says so and returns one of
    them.

    Args:
        names: ids of GPUs.
        jobs_per_gpu: places on each.
        folder: where the locks are, the same for all jobs of this user on this host.

    Raises:
        PipelineError: the folder belongs to someone else or is none.
    """
    try:
        folder = folder or Path(tempfile.gettempdir(), f"avca-gpus-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise PipelineError(f"{folder}: belongs to someone else; remove it or set TMPDIR")
        return _place(names, jobs_per_gpu, folder)
    except OSError as error:
        where = folder or "TMPDIR"
        if error.errno in NO_ROOM:
            logger.warning(
                f"{where}: no lock can be written ({error.strerror}): {RISK}; set TMPDIR"
            )
            return names[os.getpid() % len(names)]
        raise PipelineError(f"{where}: cannot be written ({error.strerror}); set TMPDIR") from error


def _place(names: Sequence[str], jobs_per_gpu: int, folder: Path) -> str:
    """Waits for a free place and keeps it."""
    has_waited = False
    # Without locks every place looks free: then the jobs begin at different GPUs.
    begin = 0 if locks.are_supported(folder / "test") else os.getpid() % len(names)
    ordered = [*names[begin:], *names[:begin]]
    while True:
        # Looked at each time: another thread may have got the place for this process meanwhile.
        for name in ordered:
            if (folder, name) in _own:
                return name
        for place in range(jobs_per_gpu):
            for name in ordered:
                if locks.hold(folder / f"{name}.{place}", RISK):
                    _own.add((folder, name))
                    return name
        if not has_waited:
            logger.info(f"all {len(names)} GPUs are in use by other jobs: waiting for a free place")
            has_waited = True
        time.sleep(POLL_S)
