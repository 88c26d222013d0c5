"""Command ``run``: starts Snakemake with the workflow of this package, from any folder.

It adds a few options to the words of the user, prints the command line and becomes that command.
Exit code and output are Snakemake's.
"""

from __future__ import annotations

import itertools
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from avca_pipeline.config import yaml_files
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.runtime.paths import shipped

logger = logging.getLogger(__name__)

ENDINGS = (".yaml", ".yml")
DEFAULT = "config.yaml"


def run(words: Sequence[str]) -> NoReturn:
    """Becomes Snakemake.

    Args:
        words: a config, targets and options of Snakemake, in any order.

    Raises:
        PipelineError: Snakemake has no such option; the config is missing or no YAML.
    """
    line = command_line(words)
    logger.info(f"avca run: {shlex.join(line)}")
    os.execv(line[0], line)


def command_line(words: Sequence[str]) -> list[str]:
    """Returns the command line of Snakemake.

    Targets come before all options, of which some take as many words as follow them.

    Raises:
        PipelineError: see `run`.
    """
    # Snakemake's parser returns the very words that it is given.
    words = [_Word(word) for word in words]
    chosen = _parsed(words)
    positional = {id(word) for word in chosen.targets}
    options = [word for word in words if id(word) not in positional and word != "--"]
    configs = [word for word in chosen.targets if word.endswith(ENDINGS)]
    targets = [word for word in chosen.targets if word not in configs]
    if len(configs) > 1 or (configs and chosen.configfile):
        raise PipelineError(
            f"found {len(configs) + len(chosen.configfile)} configs; name one, and put what "
            "differs behind --config, as in: --config jobs_per_gpu=2"
        )
    if not configs and not chosen.configfile:
        _check_no_option_has_the_config(options)
    line = [sys.executable, "-m", "snakemake", *targets]
    if not chosen.snakefile:
        line += ["--snakefile", str(shipped("workflow/Snakefile"))]
    if not chosen.configfile:
        config = _checked(configs[0] if configs else DEFAULT, is_named=bool(configs))
        line += ["--configfile", config]
    if not any(getattr(chosen, name) for name in WHO_HAS_CORES):
        line += ["--cores", "all"]
    if not any(getattr(chosen, name) for name in WHO_SAYS_MUCH):
        line += ["--quiet", "host", "reason", "rules"]
    return [*line, *options]


def _check_no_option_has_the_config(options: Sequence[str]) -> None:
    """Checks that no option with several values, as ``-R evaluate mine.yaml``, took the config.

    Raises:
        PipelineError: one did; another config would be used instead.
    """
    for before, word in itertools.pairwise(options):
        if word.endswith(ENDINGS) and not before.startswith("-"):
            raise PipelineError(
                f"{abbreviated(word)}: an option before it takes all words that follow; name the "
                "config first, before all options"
            )


class _Word(str):
    """A word that is another object than each equal one."""

    __slots__ = ()


WHO_HAS_CORES = ("cores", "jobs", "executor", "profile", "workflow_profile")
"""Options of Snakemake that say how many jobs run, or whose profile does."""
WHO_SAYS_MUCH = ("quiet", "verbose", "dryrun", "printshellcmds", "profile", "workflow_profile")
"""Options of Snakemake that say how much it prints; what a job reads and writes is in its log."""


def _parsed(words: Sequence[str]) -> Any:
    """Returns what Snakemake understands by these words.

    Raises:
        PipelineError: Snakemake has no such option.
    """
    from snakemake.cli import get_argument_parser
    from snakemake.exceptions import CliException

    parser = get_argument_parser()

    def refuse(message: str) -> NoReturn:
        raise PipelineError(f"{message}; 'snakemake --help' lists the options")

    parser.error = refuse
    try:
        return parser.parse_intermixed_args(list(words))
    except PipelineError:
        raise
    except CliException as error:
        refuse(str(error))
    except ValueError as error:  # as for --resources with a word that is no resource
        refuse(f"an option cannot be read ({error}); name config and targets before all options")


def _checked(config: str, is_named: bool) -> str:
    """Returns the path of a config that YAML can read; Snakemake would say less of the others.

    Raises:
        PipelineError: it is missing, or no YAML.
    """
    path = Path(config)
    if not is_named and not path.exists():
        raise PipelineError(
            f"{path.absolute()}: no such file; name the config (a file that ends with .yaml), or "
            "write one with 'avca init'"
        )
    if not path.exists() and path.parent.exists():
        from avca_pipeline.settings import nearest

        others = [entry.name for entry in path.parent.iterdir() if entry.name.endswith(ENDINGS)]
        hint = nearest(path.name, others) if others else "write one with 'avca init'"
        raise PipelineError(f"{abbreviated(config)}: no such file; {hint}")
    yaml_files.read(path)
    return config
