"""Brings the versions in ``avca.yaml`` in step with ``requirements.lock``. Run by ``make lock``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
HEAD = """\
# The same versions as requirements.lock; `make lock` writes this file.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def locked(lock: str) -> dict[str, str]:
    """Returns package to version of a lock file."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", lock, flags=re.MULTILINE))


def environment(project: Path) -> str:
    """Returns the conda environment of the project's direct dependencies at locked versions."""
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    versions = locked((project / "requirements.lock").read_text())
    lines = []
    for line in sorted(declared, key=str.lower):
        name = re.match(r"[A-Za-z0-9._-]+", line)[0].lower()
        _, _, marker = line.partition(";")  # a marker says on which machines
        lines.append(f"      - {name}=={versions[name]}{f' ;{marker}' if marker else ''}\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    (HERE / "avca.yaml").write_text(environment(HERE.parent))
