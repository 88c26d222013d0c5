"""A real Slurm of one node on this machine, for as long as a `with` block runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.conftest import absent

# Slurm's commands look here; the plugin for job steps passes no SLURM_CONF on.
CONFIG = Path("/etc/slurm/slurm.conf")
OURS = "avca-test-slurm.conf"
TOOLS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol", "setpriv")

# Two partitions on the one node. More memory and cores than there may be: nothing is confined to
# them, but a job that uses more than it asked for is killed.
TEMPLATE = """\
ClusterName=avca-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MinJobAge=3600
ReturnToService=2
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=20 RealMemory=64000 Gres=gpu:2
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes={host} MaxTime=INFINITE
"""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Starts munge and Slurm with their files in ``folder``, and stops them in any case."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        absent(f"{missing[0]} is missing: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        absent("Slurm's daemons and /etc/slurm need root")
    with open("/run/lock/avca-test-slurm.lock", "w") as lock, contextlib.ExitStack() as stack:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout may be testing
        if CONFIG.is_symlink() and CONFIG.readlink().name == OURS:
            CONFIG.unlink()  # of a test that was killed
        if os.path.lexists(CONFIG):
            absent(f"{CONFIG} is not of these tests: this machine belongs to a cluster")
        write_config(folder)
        CONFIG.parent.mkdir(exist_ok=True)
        stack.callback(CONFIG.unlink)
        CONFIG.symlink_to(folder / OURS)
        names = ("socket", "key-file", "pid-file", "log-file", "seed-file")
        munge = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in names]
        stack.enter_context(daemon(folder, "munged", "--foreground", "--force", *munge))
        until((folder / "munge.socket").exists)
        stack.enter_context(daemon(folder, "slurmctld", "-D", "-c", "-f", str(folder / OURS)))
        stack.enter_context(daemon(folder, "slurmd", "-D", "-f", str(folder / OURS)))
        until(lambda: "idle" in call("sinfo", "--noheader", "--format=%T", check=False))
        stack.callback(until, lambda: not call("squeue", "--noheader"))
        stack.callback(call, "scancel", "--user=root")
        yield


def write_config(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        ports = first.getsockname()[1], second.getsockname()[1]
    host = socket.gethostname().partition(".")[0]
    (folder / OURS).write_text(
        TEMPLATE.format(folder=folder, host=host, controller_port=ports[0], node_port=ports[1])
    )
    # A GPU is a file to Slurm.
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)


@contextlib.contextmanager
def daemon(folder: Path, *command: str) -> Iterator[None]:
    """Runs a daemon in the foreground; it ends with the block, or with this process."""
    with open(folder / f"{command[0]}.out", "w") as out:
        running = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], stdout=out, stderr=out
        )
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def call(*command: str, check: bool = True) -> str:
    """Runs one of Slurm's commands and returns what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout.strip()


def jobs() -> dict[int, dict[str, str]]:
    """Returns what Slurm knows of every job, ended ones too, by id."""
    found = {}
    for block in call("scontrol", "show", "job", "--oneliner").splitlines():
        fields = dict(word.partition("=")[::2] for word in block.split(" ") if "=" in word)
        found[int(fields["JobId"])] = fields
    return found
