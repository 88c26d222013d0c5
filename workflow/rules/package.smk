"""Finds the package of this repository, which need not be installed beside Snakemake.

Snakemake's Python reads the settings of plugins and needs a few small libraries for that. Stages run in
the environment of their jobs.
"""

import importlib.util
import os
import shutil
import sys
from os import environ

PACKAGE = "avca_pipeline"


def find_package():
    """Puts the package on the path of this process and of its jobs, unless it is installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        top = folder_of_the_repository(PACKAGE)
        # In a wheel, the workflow lies inside the package.
        for folder in (top, os.path.dirname(os.path.dirname(top))):
            if os.path.isfile(os.path.join(folder, PACKAGE, "__init__.py")):
                sys.path.insert(0, folder)
                given = environ.get("PYTHONPATH")
                environ["PYTHONPATH"] = os.pathsep.join([folder, given] if given else [folder])
                break
    try:
        import avca_pipeline.commands.check
        import avca_pipeline.planning.staleness
    except ModuleNotFoundError as error:
        needed = PACKAGE if error.name == PACKAGE else "'numpy>=2' 'pydantic>=2.12' h5py tqdm"
        print(
            f"avca: error: Snakemake's Python has no {error.name}, which the rules need; install it "
            f"there: {sys.executable} -m pip install {needed}",
            file=sys.stderr,
        )
        sys.exit(1)


def check_program():
    """Stops before jobs that would not find the command that they run."""
    if not has_environments_for_jobs() and shutil.which("avca") is None:
        raise PipelineError(
            f"there is no command avca beside {sys.executable}; install the package there, or have "
            "Snakemake make an environment for the jobs: --sdm conda"
        )


find_package()
