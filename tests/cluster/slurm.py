"""A real Slurm of one node, from Debian's packages, for as long as a test needs it.

The node claims more cores, memory and GPUs than there are, so that the project's own profile can
be used as it is. Snakemake's plugin hides a configuration elsewhere from job steps, so it goes to
``/etc/slurm``; one that is not from here is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "# Written by the tests of avca_pipeline."
CONFIG = """\
{mark}
ClusterName=avca
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=200
MinJobAge=3600
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=0
GresTypes=gpu
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=500000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""
FOLDER = Path("/etc/slurm")
FILES = {
    "gres.conf": f"{MARK}\nName=gpu File=/dev/null\nName=gpu File=/dev/zero\n",
    "cgroup.conf": f"{MARK}\nCgroupAutomount=no\n",
}


def missing() -> str:
    """Returns why Slurm cannot be started here; nothing if it can."""
    tools = [name for name in ("slurmctld", "slurmd", "munged") if shutil.which(name) is None]
    if tools:
        return f"{tools[0]} is not here: apt-get install --no-install-recommends slurm-wlm munge"
    if os.getuid() != 0:
        return "only root can start a Slurm"
    for name in ("slurm.conf", *FILES):
        path = FOLDER / name
        if path.exists() and MARK not in path.read_text():
            return f"{path} belongs to a cluster"
    return ""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Has a cluster up for as long as the block runs; its state and logs are in ``folder``."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    controller_port, node_port = _free_ports()
    host = socket.gethostname().split(".")[0]
    text = CONFIG.format(
        mark=MARK, host=host, folder=folder, controller_port=controller_port, node_port=node_port
    )
    FOLDER.mkdir(exist_ok=True)
    for name, content in {"slurm.conf": text, **FILES}.items():
        (FOLDER / name).write_text(content)
    has_munge = subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0
    try:
        if not has_munge:
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True)
        subprocess.run(["slurmctld", "-c"], check=True)
        subprocess.run(["slurmd"], check=True)
        _wait_until_idle(folder)
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], check=False)
        for name in ("slurmctld", "slurmd"):
            _stop(folder / f"{name}.pid")
        if not has_munge:
            _stop(Path("/run/munge/munged.pid"))
        for name in ("slurm.conf", *FILES):
            (FOLDER / name).unlink()


def queue(*options: str) -> list[str]:
    """Returns what squeue lists, a line for each job."""
    done = subprocess.run(
        ["squeue", "--noheader", *options], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_until_idle(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        listed = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"], capture_output=True, text=True, check=False
        )
        if set(listed.stdout.split()) == {"idle"}:
            return
        if time.monotonic() > deadline:
            logs = "".join(path.read_text() for path in folder.glob("*.log"))
            raise RuntimeError(f"Slurm does not come up: {listed.stdout}{listed.stderr}{logs}")
        time.sleep(0.2)


def _stop(pid_file: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
