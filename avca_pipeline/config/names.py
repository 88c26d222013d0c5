"""What may be the name of an entry, which becomes a part of paths, and what may be a folder."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from avca_pipeline.errors import abbreviated
from avca_pipeline.settings import refusal, whole_path

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*")
MAX_NAME = 100
ENDINGS = (".csv", ".h5", ".html", ".json", ".log", ".pt", ".tar", ".tsv")
"""Endings of our own files. A name that ends so could be taken for a file of another name."""
RESERVED = {"datasets": ("benchmarks", "logs", "records")}
"""Names of our own folders that lie beside the folders of a section's entries."""
NO_PART_OF_A_PATH = r"{}<>\s\x00-\x1f\x7f"
"""Characters that no folder has in its path, as a set of a regular expression."""


def check_name(section: str, name: Any) -> None:
    """Checks that a name can be a part of every path that it becomes a part of.

    Raises:
        PydanticCustomError: it cannot.
    """
    if isinstance(name, bool):
        raise refusal(
            f"{abbreviated(name)} cannot be a name; put the name in quotes, because YAML reads "
            "yes, no, on and off as true or false"
        )
    if name is None or isinstance(name, int | float | datetime.date):
        raise refusal(
            f"{abbreviated(name)} cannot be a name; put the name in quotes, because YAML reads it "
            "as something else than a text"
        )
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise refusal(
            f"{abbreviated(name)} cannot be a name; use letters, digits, '.', '_' and '-', "
            "a letter or a digit first, and no '.' at the end or beside another"
        )
    if len(name) > MAX_NAME:
        raise refusal(
            f"{abbreviated(name)} is longer than {MAX_NAME} characters; choose a shorter name"
        )
    if name.lower().endswith(ENDINGS) or name.lower() in RESERVED.get(section, ()):
        raise refusal(
            f"{name!r} cannot be a name, because files or folders of the results have such names; "
            "choose another"
        )


def _folder(value: Any) -> str:
    if not isinstance(value, str):
        quotes = "; put it in quotes" if isinstance(value, bool | int | float) else ""
        raise refusal(f"expected a path, found {abbreviated(value)}{quotes}")
    if not value:
        raise refusal("expected a path, found '', a text without characters; name a folder")
    if re.search(f"[{NO_PART_OF_A_PATH}]", value):
        raise refusal(
            f"expected a path without spaces, braces and angle brackets, found {abbreviated(value)}"
        )
    if value.startswith("-"):
        raise refusal(f"{abbreviated(value)} would be taken for an option; write the whole path")
    try:
        whole_path(Path(value))
    except ValueError as error:
        raise refusal(f"{error} (found {abbreviated(value)})") from error
    return value


def _folder_of_results(value: Any) -> str:
    """Returns the folder as Snakemake writes it, because Snakemake compares paths as texts.

    The home folder takes the place of ``~`` here: a shell would do so in some commands only.
    """
    folder = _folder(value)
    if folder.startswith("~"):
        folder = _folder(str(whole_path(Path(folder))))
    normal = os.path.normpath(folder)
    if normal in (".", "/", "//") or Path(normal).parts[0] == ".snakemake":
        raise refusal(f"{abbreviated(folder)} cannot be the folder of results; name another")
    if normal != folder:
        raise refusal(f"found {abbreviated(folder)}; write {abbreviated(normal)}")
    return folder


def _path_without(first: str) -> Any:
    """Returns the type of a folder in the schema, whose path does not begin with these."""
    return Annotated[str, Field(pattern=f"^(?![{first}])[^{NO_PART_OF_A_PATH}]+$")]


Folder = Annotated[str, PlainValidator(_folder, json_schema_input_type=_path_without("-"))]
"""A folder whose path stands in commands and in patterns of Snakemake."""
ResultsFolder = Annotated[
    str, PlainValidator(_folder_of_results, json_schema_input_type=_path_without("-"))
]
"""The folder of all results."""
