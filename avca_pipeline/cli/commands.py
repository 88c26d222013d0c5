"""All commands: those that are no stages, with their options, and those of the stages."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.cli import calls
from avca_pipeline.cli.first_commands import FIRST_COMMANDS
from avca_pipeline.cli.options import (
    DEVICE_OPTIONS,
    Command,
    Option,
    named_file,
    path,
    port,
    positive,
    seconds,
)
from avca_pipeline.cli.stage_commands import STAGE_COMMANDS
from avca_pipeline.published.feature_archives import ARCHIVES

CLASSIFIER = (
    Option(
        "run",
        "folder of a run in the results, or a bundle: a folder or a .zip",
        settings={"type": Path, "metavar": "PATH"},
    ),
    Option(
        "zero-shot",
        "set of encoders that classifies without training: clip-clap, or a feature set of "
        "the config in whose space a text embedding is",
        settings={"metavar": "NAME"},
    ),
    Option(
        "weights",
        "file of a backbone's weights, where it lies elsewhere than it did at training",
        settings={
            "type": named_file,
            "action": "append",
            "default": [],
            "metavar": "BACKBONE=FILE",
        },
    ),
    Option(
        "cache",
        "folder in which downloaded weights are kept (default: ~/.cache/avca_pipeline)",
        settings={"type": Path, "metavar": "PATH"},
    ),
    *DEVICE_OPTIONS[:2],
)
"""What classifies, and where."""
CLASSES = Option(
    "classes",
    "class names to choose among: a text file with one a line, which names with commas "
    "in them need, or names with commas between them (default: those of the run)",
    settings={"metavar": "NAMES"},
)

COMMANDS = (
    *FIRST_COMMANDS,
    Command(
        "predict",
        "classify videos with a trained run, a bundle, or without any training",
        calls.predict,
        (
            Option(
                "videos",
                "videos to classify; clip.mp4#t=2.5,7 is a stretch of a file, in seconds",
                is_positional=True,
                settings={"nargs": "+", "metavar": "VIDEO"},
            ),
            *CLASSIFIER[:2],
            Option(
                "config",
                "config that --zero-shot looks into",
                settings={"type": Path, "metavar": "FILE"},
            ),
            CLASSES,
            Option(
                "top",
                "number of classes in the ranking of each video (default: 5)",
                settings={"type": positive, "default": 5, "metavar": "NUMBER"},
            ),
            Option(
                "timeline",
                "rank for each window of a video, with its start and end, instead of the whole",
                settings={"action": "store_true"},
            ),
            Option(
                "out",
                "file to write, .csv or .json (default: print the rankings)",
                settings={"type": Path, "metavar": "FILE"},
            ),
            Option(
                "leave-out-seen",
                "leave out the classes that the network was trained on",
                settings={"action": "store_true"},
            ),
            *CLASSIFIER[2:],
        ),
    ),
    Command(
        "serve",
        "show a page in the browser, on which videos are classified; it is for this machine alone",
        calls.serve,
        (
            *CLASSIFIER,
            Option(
                "config",
                "config whose limits hold, and that --zero-shot looks into",
                settings={"type": Path, "metavar": "FILE"},
            ),
            CLASSES,
            Option(
                "max-bytes",
                "size that a video may have, in bytes (default: that of the config, or 16 GiB)",
                settings={"type": positive, "metavar": "NUMBER"},
            ),
            Option(
                "max-duration",
                "length that a video may have, in seconds (default: that of the config, or of the "
                "run)",
                settings={"type": seconds, "metavar": "SECONDS"},
            ),
            Option(
                "host",
                "name or address of this machine on which the page can be reached (default: "
                "127.0.0.1, from this machine alone)",
                settings={"default": "127.0.0.1"},
            ),
            Option(
                "port",
                "port of the page, 0 for any that is free (default: 8000)",
                settings={"type": port, "default": 8000, "metavar": "NUMBER"},
            ),
        ),
    ),
    Command(
        "bundle",
        "write all that a trained run needs to classify videos elsewhere, as a folder and a zip",
        calls.bundle,
        (
            Option(
                "run",
                "folder of the run in the results",
                is_positional=True,
                settings={"type": Path},
            ),
            Option(
                "out",
                "folder to write; the zip has .zip behind its name",
                is_positional=True,
                settings={"type": Path},
            ),
        ),
    ),
    Command(
        "publish",
        "write features or a run as a folder for others, with a card, and upload it",
        calls.publish,
        (
            Option(
                "what",
                "what to publish: features or run",
                is_positional=True,
                settings={"choices": ("features", "run")},
            ),
            Option(
                "paths",
                "results/<dataset>/features/<backbone>.h5, one or one of each modality; or the "
                "folder of a run",
                is_positional=True,
                settings={"type": Path, "nargs": "+", "metavar": "PATH"},
            ),
            path("out", "folder to write"),
            Option(
                "licence",
                "licence of what is published, as the Hugging Face Hub abbreviates it, such as "
                "cc-by-4.0 (default: unknown)",
                settings={"default": "unknown", "metavar": "NAME"},
            ),
            Option(
                "to",
                "repository of yours to upload to, hf:owner/name or hf:owner/name@branch (extra "
                "hub)",
                settings={"metavar": "REPOSITORY"},
            ),
        ),
    ),
    Command(
        "fiftyone",
        "write a run so that FiftyOne shows its clips beside labels, predictions and embeddings",
        calls.fiftyone,
        (
            Option(
                "run",
                "folder of the run in the results",
                is_positional=True,
                settings={"type": Path},
            ),
            path("out", "folder to write, which FiftyOne imports on this machine"),
        ),
    ),
    Command(
        "compare",
        "show two folders of results side by side, with the differences and their intervals",
        calls.compare,
        (
            Option(
                "first",
                "folder of results",
                is_positional=True,
                settings={"type": Path, "metavar": "A"},
            ),
            Option(
                "second",
                "another folder of results",
                is_positional=True,
                settings={"type": Path, "metavar": "B"},
            ),
            Option(
                "out",
                "file to write, .html, .md or .csv (default: print a table)",
                settings={"type": Path, "metavar": "FILE"},
            ),
        ),
    ),
    Command(
        "check",
        "check a config, and that the files it names are there",
        calls.check,
        (
            Option(
                "config",
                "the config (default: config.yaml)",
                is_positional=True,
                settings={"type": Path, "nargs": "?", "default": Path("config.yaml")},
            ),
        ),
    ),
    Command(
        "explain",
        "explain a key, a section or a plugin of a config",
        calls.explain,
        (
            Option(
                "key",
                "what to explain: models.avca.epochs, limits, avca, or epochs alone",
                is_positional=True,
                settings={"metavar": "KEY"},
            ),
        ),
    ),
    Command(
        "schema",
        "write the JSON Schema of a config, with which editors complete and check it",
        calls.schema,
        (path("out", "schema to write"),),
    ),
    Command(
        "list",
        "list the plugins of a kind, with dimension, licence and modality",
        calls.list_plugins,
        (
            Option(
                "kind",
                "kind of the plugins, as the config calls it",
                is_positional=True,
                settings={"choices": registry.KINDS},
            ),
            Option(
                "all",
                "also list the models, or families of models, that timm, torchvision and "
                "transformers have for the plugins that take any of them",
                settings={"action": "store_true"},
            ),
        ),
    ),
    Command(
        "lists",
        "download the published lists and label embeddings of a benchmark",
        calls.lists,
        (
            path("out", "folder to write them to"),
            Option("benchmark", "UCF, ActivityNet or VGGSound", settings={"required": True}),
            Option("address", "address of a mirror of the authors' repository"),
        ),
    ),
    Command(
        "fetch-features",
        "download features that the authors of a method publish, check and unpack them",
        calls.fetch_features,
        (
            Option(
                "name",
                f"which features: {', '.join(ARCHIVES)}",
                is_positional=True,
                settings={"metavar": "NAME"},
            ),
            path("out", "folder to unpack them in, such as data/official"),
            Option(
                "archive",
                "the archive, where it has been downloaded already, such as in a browser",
                settings={"type": Path, "metavar": "FILE"},
            ),
            Option("address", "address of a mirror of the archive"),
        ),
    ),
    *STAGE_COMMANDS,
)
