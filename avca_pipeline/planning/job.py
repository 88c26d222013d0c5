"""One job of the workflow, and the recipe of what it makes.

A recipe is a digest of everything that decides a result and is known before anything is made: the
settings of its stage and of the results that it is made from, the files of the user that the
config names, and the lists of clips.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.records import CONTENT
from avca_pipeline.artifacts.text_files import canonical_json


@dataclass(frozen=True)
class File:
    """A result that a job reads: its path within the results, and its recipe."""

    path: str
    recipe: str


@dataclass(frozen=True, eq=False)
class Job:
    """One job of the workflow.

    Attributes:
        rule: name of its rule.
        outputs: what it makes, as paths within the results.
        settings: the request of its stage, as canonical JSON.
        inputs: option of its command to what it reads there.
        outside: digest of the files of the user that it reads.
        contents: path to digest, as `clip_lists` defines it, where an output is a list of clips.
        names: values of the wildcards of its rule, in the rule's order.
    """

    rule: str
    outputs: tuple[str, ...]
    settings: str
    inputs: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    outside: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @functools.cached_property
    def recipe(self) -> str:
        """Digest of all that decides what the job makes."""
        return records.digest_of_text(
            canonical_json([self.rule, self.settings, self.outside, sorted(self.reads.items())])
        )

    @functools.cached_property
    def reads(self) -> dict[str, str]:
        """Option of the command to the joint recipe of what the job reads there."""
        return {
            option: records.joint(file.recipe for file in files)
            for option, files in self.inputs.items()
        }

    @property
    def files(self) -> tuple[File, ...]:
        """What the job makes, with recipes."""
        return tuple(
            File(path, CONTENT + self.contents[path] if path in self.contents else self.recipe)
            for path in self.outputs
        )
