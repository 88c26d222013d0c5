"""All that this workflow takes from Snakemake beyond what its manual describes.

Another release may change any of it. A test (`tests/workflow/test_snakemake_private.py`) reads this
file, names each part and fails if Snakemake no longer has it. No other file uses ``workflow``.
"""

import logging as _logging
import os as _os
import tarfile as _tarfile
import tempfile as _tempfile

from snakemake.logging import logger as _snakemake_logger
from snakemake.settings.types import RerunTrigger as _RerunTrigger
from snakemake.utils import format as _format
from snakemake_interface_executor_plugins.settings import SharedFSUsage as _SharedFSUsage
from snakemake_interface_logger_plugins.common import LogEvent as _LogEvent


def is_main_process():
    """Returns whether this process plans the run; others run one job each."""
    return workflow.is_main_process


def is_a_run():
    """Returns whether jobs are going to run: false with ``-n``, ``--touch``, ``--summary``, …"""
    return workflow.executor_plugin is not None and not (workflow.dryrun or workflow.touch)


def config_files_of_the_command_line():
    """Returns the config files that take the place of the default one."""
    return workflow.overwrite_configfiles


def is_given_a_config():
    """Returns whether another workflow imports this one and gives it a config."""
    return workflow.modifier.skip_configfile


def is_one_file_system():
    """Returns whether all jobs see the same results, and this process does too."""
    return _SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage


def targets_to_make_anew():
    """Returns the rules and files that the command line wants to be made anew."""
    return workflow.dag_settings.forcerun


def ignore_changes_of_code():
    """Has Snakemake make nothing anew because a command, or the date of a script, is another.

    Snakemake has no settings to change before it has read the rules.
    """
    workflow.dag_settings.rerun_triggers -= {_RerunTrigger.CODE}


def make_anew(paths):
    """Has Snakemake make these files, whatever their dates are."""
    workflow.dag.forcefiles.update(paths)


def runs_on_a_cluster():
    """Returns whether another program, such as Slurm, decides where jobs run."""
    return workflow.nodes is not None


def cores_of_this_run():
    """Returns how many cores the command line allows."""
    return workflow.cores


def limit_of(resource):
    """Returns how much of a resource all jobs together may use; ``None`` without a limit."""
    if resource in workflow.global_resources:
        return workflow.global_resources[resource].value
    return None


def set_limit_of(resource, value):
    """Limits how much of a resource all jobs together may use."""
    workflow.register_resource(resource, value)


def slurm_job_prefix():
    """Returns what the names of this run's Slurm jobs begin with; nothing without Slurm."""
    return getattr(workflow.executor_settings, "jobname_prefix", "")


def folder_of_the_command():
    """Returns the folder in which Snakemake was started."""
    return workflow.workdir_init


def shell_command_of(rule, **values):
    """Returns the shell command of a rule, with values in place of its braces."""
    return _format(workflow.get_rule(rule).shellcmd, **values)


def has_environments_for_jobs():
    """Returns whether jobs run in an environment of conda or in a container."""
    return bool(workflow.deployment_settings.deployment_method)


def folder_of_the_repository(package):
    """Returns the folder that the file which calls this is two folders below.

    Of a repository that Snakemake has downloaded, it keeps single files only; there the package is
    taken from the clone that they come from.

    Args:
        package: name of the folder of the package.
    """
    top = workflow.current_basedir.join("../..")
    if not hasattr(top, "hosted_repo"):
        return _os.path.realpath(top.get_path_or_uri(secret_free=True))
    repository = top.hosted_repo.repo
    folder = _os.path.abspath(f".snakemake/avca/{repository.rev_parse(top.ref).hexsha}")
    if not _os.path.isdir(folder):
        _os.makedirs(_os.path.dirname(folder), exist_ok=True)
        with _tempfile.TemporaryDirectory(dir=_os.path.dirname(folder)) as temporary:
            repository.git.archive(top.ref, package, output=f"{temporary}/package.tar")
            with _tarfile.open(f"{temporary}/package.tar") as archive:
                archive.extractall(f"{temporary}/package", filter="data")
            _os.rename(f"{temporary}/package", folder)
    return folder


def collect_logs_of_failed_jobs(paths):
    """Has Snakemake's messages add the log files of each job that fails to a list."""

    class Collector(_logging.Handler):
        def emit(self, record):
            if getattr(record, "event", None) == _LogEvent.JOB_ERROR:
                paths.extend(record.log)

    _snakemake_logger.addHandler(Collector())
