"""Small packages that register plugins, as they lie in a folder of installed packages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def install(
    site: Path,
    package: str,
    modules: Mapping[str, str],
    plugins: Mapping[str, Mapping[str, str]],
    version: str = "1.0",
) -> None:
    """Puts a package into a folder, with the metadata that an installer writes beside it.

    Args:
        site: a folder of installed packages.
        package: name of the package.
        modules: name of each module to its text.
        plugins: kind to the name of each plugin to its module in the package.
        version: of the package.
    """
    code = site / package
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    for name, text in modules.items():
        (code / f"{name}.py").write_text(text, encoding="utf-8")
    lines = []
    for kind, modules_by_name in plugins.items():
        lines.append(f"[avca_pipeline.{kind}]")
        lines += [f"{name} = {package}.{module}" for name, module in modules_by_name.items()]
    metadata = site / f"{package}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
    )


def with_packages(site: Path) -> dict[str, str]:
    """Returns the environment of a process that finds the packages of a folder too."""
    return {**os.environ, "PYTHONPATH": str(site)}
