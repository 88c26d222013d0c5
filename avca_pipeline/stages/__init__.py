"""The stages of the pipeline: each one a rule, a command and a kind of file.

Stages never import each other; they meet in the files of `avca_pipeline.artifacts`. A stage's
number is raised when a change of its code changes its results, and is part of what makes a result
stale.
"""

VERSIONS = {
    "manifest": 1,
    "fetch": 2,
    "extract": 5,
    "import": 2,
    "gather": 3,
    "embed": 4,
    "split": 4,
    "audit": 3,
    "train": 2,
    "select": 1,
    "evaluate": 4,
    "apply": 1,
    "report": 12,
    "export": 1,
}
