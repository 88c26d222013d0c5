"""Runs ``avca report``, whose arguments stand in a file: there are more with each run.

The system takes 128 KiB for one argument, and a shell command is one argument. Snakemake runs this
script and defines `snakemake` in it.
"""

import os
import sys
from pathlib import Path

OPTIONS = {
    "scores": "--scores",
    "embeddings": "--embeddings",
    "predictions": "--predictions",
    "histories": "--histories",
    "audits": "--audits",
    "data_audits": "--data-audits",
    "manifests": "--manifests",
    "first_fetched": "--fetched",
    "features": "--features",
    "applied": "--applied",
}
"""Name among the rule's inputs to the option of the command."""

arguments = ["--settings", snakemake.params.settings]
for name, option in OPTIONS.items():
    arguments += [option, *snakemake.input[name], *snakemake.params.found[name]]
arguments += ["--out", snakemake.output.page, "--table", snakemake.output.table]
arguments += ["--files", snakemake.output.files]
arguments += ["--log", snakemake.log[0]]
if snakemake.params.is_recorded:
    arguments += ["--made", snakemake.params.made]

file = Path(snakemake.params.arguments)
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text("".join(f"{argument}\n" for argument in arguments), encoding="utf-8")
print(f"avca report @{file}", file=sys.stderr, flush=True)
os.execvp("avca", ["avca", "report", f"@{file}"])
