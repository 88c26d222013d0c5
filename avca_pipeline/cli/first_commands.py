"""The commands with which a user begins: write a config, and run what it asks for."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.cli import calls
from avca_pipeline.cli.options import Command, Option

DATA = ("folder", "table", "ucf101", "vggsound", "activitynet", "demo")
"""What `init` knows: five datasets of the user, and clips that are made on the spot."""

FIRST_COMMANDS = (
    Command(
        "init",
        "write a short config for your clips, with comments, that passes 'avca check'",
        calls.init,
        (
            Option(
                "kind",
                "folder (a subfolder for each class), table (a CSV file), ucf101, vggsound, "
                "activitynet, or demo (clips that are made on the spot)",
                is_positional=True,
                settings={"choices": DATA, "metavar": "KIND"},
            ),
            Option(
                "path",
                "where the clips are: the folder; the CSV file; UCF101.rar or its folder; the "
                "folder with vggsound.csv or activity_net.v1-3.min.json and the videos. For the "
                "demo, the folder for its results (default: results)",
                is_positional=True,
                settings={"type": Path, "nargs": "?", "metavar": "PATH"},
            ),
            Option(
                "out",
                "config to write (default: config.yaml)",
                settings={"type": Path, "default": Path("config.yaml"), "metavar": "FILE"},
            ),
            Option(
                "weights",
                "weights of the backbones: published ones, which are downloaded when they are "
                "first used, or random ones, which only show that all works (default: published, "
                "if their sites can be reached)",
                settings={"choices": ("published", "random"), "default": None},
            ),
            Option(
                "features",
                "write a config that only extracts features, which needs no classes",
                settings={"action": "store_true"},
            ),
            Option(
                "force",
                "write the config even if there is one already",
                settings={"action": "store_true"},
            ),
        ),
    ),
    Command(
        "run",
        "run what a config asks for: 'avca run config.yaml', from any folder",
        calls.run,
        (
            Option(
                "words",
                "in any order: the config, a file that ends with .yaml (default: config.yaml); "
                "targets, such as features, exports or a file of the results (default: the "
                "report); options of Snakemake, such as -n, which only shows what would run, or "
                "--cores 4 (default: all). Results and relative paths begin in the folder in which "
                "you start",
                is_positional=True,
                settings={"nargs": "*", "metavar": "CONFIG, TARGET or OPTION"},
            ),
        ),
        passes_words_on=True,
    ),
)
