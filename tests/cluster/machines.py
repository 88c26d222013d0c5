"""A cluster of machines that share no disk: every job starts in a new, empty folder.

``submit FOLDER SCRIPT`` starts a job script and prints the job's name, as Snakemake's executor
``cluster-generic`` wants it; `STATUS` says how a job stands. When a job ends its folder is deleted;
``<job>.json`` keeps what was in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LAST = "--mode 'remote'"
# Each job is asked for every second: starting Python for that would cost more than some jobs.
STATUS = """\
#!/bin/sh
if ! [ -e "$1.json" ]; then echo running
elif grep -q '"exit_code": 0,' "$1.json"; then echo success
else echo failed
fi
"""


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


if __name__ == "__main__":
    {"submit": submit, "run": run}[sys.argv[1]](*sys.argv[2:])
