"""Whatever is wrong with a file: a result, a rejected row, or one line; within time and memory.

``AVCA_FUZZ_SECONDS`` is how long each kind of file is tried, ``AVCA_FUZZ_SEED`` what is drawn. The
seed is the same in every run of the suite, so that a change of the code is what makes it fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SECONDS = {"text": 10, "arrays": 15, "media": 20, "archives": 15}
SEED = int(os.environ.get("AVCA_FUZZ_SEED", "0"))
MAX_MIB = 1500


@pytest.mark.parametrize("kind", SECONDS)
def test_a_damaged_file_is_used_rejected_or_one_line(kind: str, tmp_path: Path) -> None:
    seconds = os.environ.get("AVCA_FUZZ_SECONDS", str(SECONDS[kind]))
    print(f"seed {SEED}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.properties.damaging", kind, str(SEED), seconds, tmp_path],
        cwd=REPOSITORY, capture_output=True, text=True, errors="replace", check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    told = f"{kind}, seed {SEED}, round {(tmp_path / 'round').read_text().strip()}, {tmp_path}"
    assert done.returncode == 0, f"{told}: {done.returncode}\n{done.stderr[-3000:]}"
    told_of = json.loads(done.stdout.splitlines()[-1])
    print(told_of)
    assert told_of["peak_mib"] < MAX_MIB, told
