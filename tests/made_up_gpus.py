"""A machine with made-up GPUs: a stand-in for CUDA's driver, NVIDIA's tool, and builds of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY, program

# CUDA's driver on a machine with a slow GPU (aaaa…) in the first slot and a fast one (bbbb…).
DRIVER = r"""
#include <stdlib.h>
#include <string.h>
static int shown[2], count;
static int has_begun;
int cuInit(unsigned flags) {
    const char *order = getenv("CUDA_DEVICE_ORDER"), *chosen = getenv("CUDA_VISIBLE_DEVICES");
    int all[2] = {1, 0};
    if (getenv("NO_DEVICE")) return 100;
    if (order && !strcmp(order, "PCI_BUS_ID")) { all[0] = 0; all[1] = 1; }
    has_begun = 1;
    if (!chosen) { shown[0] = all[0]; shown[1] = all[1]; count = 2; return 0; }
    for (const char *at = chosen; (*at == '0' || *at == '1') && count < 2;) {
        shown[count++] = all[*at - '0'];
        at += at[1] == ',' ? 2 : 1;
    }
    return count ? 0 : 100;
}
int cuDriverGetVersion(int *version) {
    const char *given = getenv("DRIVER_VERSION");
    *version = given ? atoi(given) : 13000;
    return 0;
}
int cuDeviceGetCount(int *number) { *number = count; return has_begun ? 0 : 3; }
int cuDeviceGet(int *device, int index) { *device = shown[index]; return 0; }
int cuDeviceGetUuid(unsigned char *id, int device) {
    memset(id, 0xaa + 0x11 * device, 16);
    return 0;
}
"""
FAST, SLOW = (f"GPU-{8 * c}-{4 * c}-{4 * c}-{4 * c}-{12 * c}" for c in "ba")
VISIBLE = """
import json, os, sys
from avca_pipeline.runtime import gpus
assert "torch" not in sys.modules
print(json.dumps(gpus.visible()))
assert "torch" not in sys.modules
"""
DEVICE = """
from pathlib import Path
from avca_pipeline.runtime import gpus, logs
from avca_pipeline.runtime.device import choose_device
logs.show_on_screen()
gpus.NVIDIA = Path({driver!r})
assert choose_device("auto", None, 1, "avca train") == "cpu"
"""


class Machine:
    """A machine with made-up drivers, tools and builds of torch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{folder}:{REPOSITORY}"}

    def add_driver(self) -> None:
        (self.folder / "driver.c").write_text(DRIVER)
        out, source = str(self.folder / "libcuda.so.1"), str(self.folder / "driver.c")
        subprocess.run([program("gcc"), "-shared", "-fPIC", "-o", out, source], check=True)

    def add_tool(self, listing: str) -> None:
        tool = self.folder / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\n")
        tool.chmod(0o755)
        self.variables["PATH"] = f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    def add_torch(self, cuda: str | None, hip: str | None = None, count: int = 0) -> None:
        (self.folder / "torch").mkdir()
        (self.folder / "torch/version.py").write_text(f"cuda = {cuda!r}\nhip = {hip!r}\n")
        (self.folder / "torch/__init__.py").write_text("from . import cuda\n")
        (self.folder / "torch/cuda.py").write_text(f"def device_count():\n    return {count}\n")

    def visible(self, **variables: str) -> list[str]:
        names: list[str] = json.loads(self._run(VISIBLE, variables).stdout)
        return names

    def device(self, *, has_nvidia: bool, **variables: str) -> str:
        """Returns what a job says that may use a GPU and gets none."""
        code = DEVICE.format(driver=str(self.folder if has_nvidia else self.folder / "none"))
        return self._run(code, variables).stderr

    def _run(self, code: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        left_out = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES")
        environment = {name: v for name, v in os.environ.items() if name not in left_out}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | self.variables | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done
