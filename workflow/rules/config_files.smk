"""Reads the config files before Snakemake does.

Snakemake silently takes the last of two equal keys, replaces each alias by its content, and runs the
code in templates. It has already read the config files of its command line when this file runs, so
the check of those files comes late.
"""

import os
import sys
from pathlib import Path

from avca_pipeline.config import yaml_files
from avca_pipeline.errors import PipelineError


def stop_on_user_errors(call, *arguments):
    """Calls, and turns each mistake that a user can correct into one line, with exit code 1."""
    try:
        return call(*arguments)
    except PipelineError as error:
        for line in error.lines:
            print(f"avca: error: {line}", file=sys.stderr)
        sys.exit(1)


def check_default_config():
    """Stops if the folder in which Snakemake works has no config, and none was named."""
    if not os.path.exists("config.yaml"):
        raise PipelineError(
            f"{os.path.abspath('config.yaml')}: no such file; start in the folder of the config, or "
            "name it with --configfile, which --directory needs beside it"
        )


# As a module, this workflow is given a part of a config that another workflow reads.
if not is_given_a_config():
    if not config_files_of_the_command_line():
        stop_on_user_errors(check_default_config)
    for file in config_files_of_the_command_line() or ["config.yaml"]:
        if os.path.exists(file):
            stop_on_user_errors(yaml_files.read, Path(file))
