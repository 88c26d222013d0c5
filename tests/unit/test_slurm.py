"""Which lines of squeue are jobs of ours, whatever folders and jobs are called."""

from __future__ import annotations

import pytest

from avca_pipeline.slurm import orphans

RUN = "avca_0b0f6e9e-3c1d-4a55-9a51-0123456789ab"
OTHER = "avca_ffffffff-3c1d-4a55-9a51-0123456789ab"


@pytest.mark.parametrize(
    "folder", ["/data/run", "/data/my run", "/data/a|b", "/data/two  spaces ", "/d/%j \\n 'x'"]
)
def test_jobs_of_this_folder_alone(folder: str) -> None:
    lines = [
        f"11 {RUN} {folder}",
        f"12 {RUN} {folder}/below",
        f"13 {RUN} {folder.rstrip()[:-1]}",
        f"14 {RUN} /elsewhere{folder}",
        f"15 {OTHER} {folder}",
        f"16 avca_by_hand {folder}",
        f"17 x{RUN} {folder}",
        f"18 {RUN}0 {folder}",
        f"19 {RUN.removeprefix('avca_')} {folder}",
        f"20 a job {RUN} {folder}",
    ]
    assert orphans("\n".join(lines) + "\n", "avca", folder) == ["11", "15"]


def test_an_empty_queue_has_none() -> None:
    assert orphans("", "avca", "/data") == []


def test_a_prefix_is_no_pattern() -> None:
    assert orphans(f"1 {RUN} /data", "a.ca", "/data") == []
