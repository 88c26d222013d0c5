"""A cluster of machines that share no disk: every job starts in a new, empty folder.

``submit FOLDER SCRIPT`` starts a job script and prints the job's name; ``status JOB`` says how it
stands, as Snakemake's executor ``cluster-generic`` wants to know. When a job ends its folder is
deleted; ``<job>.json`` keeps what was in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LAST = "--mode 'remote'"


def submit(folder: str, script: str) -> None:
    job = tempfile.mkdtemp(dir=folder)
    text = Path(script).read_text()
    assert text.count(LAST) == 1, text
    # Else what a job has got would be gone at its end.
    Path(f"{job}.sh").write_text(text.replace(LAST, f"{LAST} --keep-storage-local-copies"))
    subprocess.Popen(
        [sys.executable, __file__, "run", job],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(job)


def run(job: str) -> None:
    with open(f"{job}.log", "w") as log:
        done = subprocess.run(
            ["sh", f"{job}.sh"], cwd=job, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    files = sorted(str(p.relative_to(job)) for p in Path(job).rglob("*") if not p.is_dir())
    shutil.rmtree(job)
    Path(f"{job}.tmp").write_text(json.dumps({"exit_code": done.returncode, "files": files}))
    Path(f"{job}.tmp").rename(f"{job}.json")


def status(job: str) -> None:
    ended = Path(f"{job}.json")
    if not ended.exists():
        print("running")
    else:
        print("failed" if json.loads(ended.read_text())["exit_code"] else "success")


if __name__ == "__main__":
    {"submit": submit, "run": run, "status": status}[sys.argv[1]](*sys.argv[2:])
