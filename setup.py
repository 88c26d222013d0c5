"""Puts the workflow into the package when a wheel is built; pyproject.toml says all the rest.

The workflow lies at the top of the repository, where Snakemake and its catalogue look for it. A
wheel has only the package, so it gets a copy in ``avca_pipeline/shipped``, in the same places as in
the repository. `avca_pipeline.runtime.paths.shipped` finds both.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("workflow", "envs/avca.yaml", "envs/avca.post-deploy.sh", "config.yaml")


class BuildWithWorkflow(build_py):
    """Copies what is shipped beside the modules; an editable installation reads the repository."""

    def run(self) -> None:
        """Builds the package."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "avca_pipeline", "shipped")
        shutil.rmtree(target, ignore_errors=True)
        for name in SHIPPED:
            source = Path(__file__).parent / name
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, target / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
