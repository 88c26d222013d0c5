"""What the workflow takes from Snakemake beyond its manual: each part by its name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

RULES = REPOSITORY / "workflow/rules"
PRIVATE = RULES / "snakemake_private.smk"
PARTS = [
    "workflow.cores",
    "workflow.current_basedir.join",
    "workflow.dag.forcefiles.update",
    "workflow.dag_settings.forcerun",
    "workflow.dag_settings.rerun_triggers",
    "workflow.deployment_settings.deployment_method",
    "workflow.dryrun",
    "workflow.executor_plugin",
    "workflow.executor_settings",
    "workflow.get_rule",
    "workflow.global_resources",
    "workflow.is_main_process",
    "workflow.modifier.skip_configfile",
    "workflow.nodes",
    "workflow.overwrite_configfiles",
    "workflow.register_resource",
    "workflow.storage_settings.shared_fs_usage",
    "workflow.touch",
    "workflow.workdir_init",
]
IMPORTS = [
    "from snakemake.logging import logger as _snakemake_logger",
    "from snakemake.settings.types import RerunTrigger as _RerunTrigger",
    "from snakemake.utils import format as _format",
    "from snakemake_interface_executor_plugins.settings import SharedFSUsage as _SharedFSUsage",
    "from snakemake_interface_logger_plugins.common import LogEvent as _LogEvent",
]
SNAKEFILE = """
include: {private!r}

import json, sys
from operator import attrgetter

def absent(parts):
    for part in parts:
        try:
            attrgetter(part.removeprefix("workflow."))(workflow)
        except AttributeError as error:
            yield f"{{part}}: {{error}}"

set_limit_of("gpu", 3)
WHILE_READ = {parts!r}[1:2]
ABSENT = list(absent(WHILE_READ))
TOP = folder_of_the_repository("no_package")
LOGS = []

rule all:
    log: "a.log"
    shell: "exit 1"

onstart:
    collect_logs_of_failed_jobs(LOGS)
    ignore_changes_of_code()

onerror:
    answer = {{
        "absent": ABSENT + list(absent(set({parts!r}) - set(WHILE_READ))),
        "top": TOP,
        "environments": has_environments_for_jobs(),
        "main": is_main_process(),
        "run": is_a_run(),
        "configs": [str(path) for path in config_files_of_the_command_line()],
        "given": is_given_a_config(),
        "one": is_one_file_system(),
        "triggers": sorted(trigger.name for trigger in workflow.rerun_triggers),
        "anew": list(targets_to_make_anew()),
        "cluster": runs_on_a_cluster(),
        "cores": cores_of_this_run(),
        "gpu": limit_of("gpu"),
        "none": limit_of("none"),
        "prefix": slurm_job_prefix(),
        "folder": folder_of_the_command(),
        "logs": LOGS,
    }}
    with open("answer.json", "w") as file:
        json.dump(answer, file)
"""


def text_of(path: Path) -> str:
    """Returns a file of the workflow without its docstrings and comments."""
    return re.sub(r'"""(?s:.*?)"""|#.*', "", path.read_text())


def test_one_file_names_all_parts() -> None:
    assert sorted(set(re.findall(r"\bworkflow\.[\w.]+", text_of(PRIVATE)))) == PARTS
    imports = re.findall(r"^(?:from|import) snakemake.*$", text_of(PRIVATE), re.MULTILINE)
    assert imports == IMPORTS


def test_no_other_file_uses_them() -> None:
    for path in [*RULES.glob("*.smk"), REPOSITORY / "workflow/Snakefile"]:
        if path != PRIVATE:
            text = text_of(path)
            assert not re.findall(r"(?<!/)\bworkflow\.\w+", text), path
            imports = re.findall(r"^(?:from|import) snakemake.*$", text, re.MULTILINE)
            assert set(imports) <= {"from snakemake.utils import min_version"}, path


def test_snakemake_still_has_each_part(tmp_path: Path) -> None:
    """And each function that is built on them gives what it says, in a run that fails."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(private=str(PRIVATE), parts=PARTS))
    (tmp_path / "config.yaml").write_text("key: value\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config.yaml",
            "--forcerun", "all",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    answer = tmp_path / "answer.json"
    assert answer.exists(), done.stdout + done.stderr
    content = json.loads(answer.read_text())
    assert content.pop("configs")[0].endswith("config.yaml")
    assert content == {
        "absent": [], "main": True, "run": True, "given": False, "one": True, "anew": ["all"],
        "triggers": ["INPUT", "MTIME", "PARAMS", "SOFTWARE_ENV"],
        "cluster": False, "cores": 2, "gpu": 3, "none": None, "prefix": "",
        "folder": str(tmp_path), "logs": ["a.log"], "environments": False,
        "top": str(tmp_path.parents[1]),
    }  # fmt: skip
