"""The commands of the stages: what each one is for, and its options."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.cli import calls
from avca_pipeline.cli.options import (
    Command,
    Option,
    json_value,
    makes,
    path,
    reads,
    reads_all,
)
from avca_pipeline.requests import (
    ApplyRequest,
    AuditRequest,
    EmbedRequest,
    EvaluateRequest,
    ExportRequest,
    ExtractRequest,
    FetchRequest,
    GatherRequest,
    ImportRequest,
    ManifestRequest,
    ReportRequest,
    SelectRequest,
    SplitRequest,
    TrainRequest,
)

OF_ALL = "of all shards; left out where the feature set has none"
FEATURES = (
    reads("video", f"features of the video backbone, {OF_ALL}", nargs="?", required=False),
    reads("audio", f"features of the audio backbone, {OF_ALL}", nargs="?", required=False),
)
PROBLEM = (
    reads("split", "table of the split"),
    reads("labels", "text embeddings of the classes"),
    *FEATURES,
)
OPTIONAL = {"nargs": "?", "required": False}
CLIPS_OF_SHARD = reads("clips", "list of the clips of the shard")
MANIFEST = reads("clips", "table of all clips of the dataset")
FIRST_FETCHED = "table of the first shard of fetched media; those of the others lie beside it"

STAGE_COMMANDS = (
    Command(
        "manifest",
        "list the clips of a dataset",
        calls.manifest,
        (
            makes("out", "table of all clips to write"),
            path("shards", "folder to write the list of each shard to"),
        ),
        request=ManifestRequest,
    ),
    Command(
        "fetch",
        "put the media of each clip on this machine, or say why that is not possible",
        calls.fetch,
        (
            CLIPS_OF_SHARD,
            path("raw", "folder for media that are downloaded, unpacked or drawn"),
            makes("out", "table of fetched media to write"),
            Option(
                "download",
                "how clips are downloaded, as JSON",
                settings={"type": json_value, "metavar": "JSON"},
            ),
            Option(
                "pack",
                "archive to write of the media in --raw, for machines that do not see this disk",
                settings={"type": Path},
            ),
        ),
        request=FetchRequest,
    ),
    Command(
        "extract",
        "turn the clips of a shard into features of one backbone",
        calls.extract,
        (
            CLIPS_OF_SHARD,
            reads("fetched", "table of the fetched media of the shard"),
            makes("out", "features to write"),
            path("cache", "folder in which downloaded weights are kept"),
            Option(
                "media",
                "archive that 'avca fetch --pack' wrote on another machine",
                settings={"type": Path},
            ),
        ),
        request=ExtractRequest,
        uses_device=True,
    ),
    Command(
        "import",
        "take over the features of a shard that were made elsewhere",
        calls.import_,
        (
            CLIPS_OF_SHARD,
            makes("out", "features to write"),
            path("cache", "folder in which downloaded features are kept", required=False),
        ),
        request=ImportRequest,
    ),
    Command(
        "gather",
        "put the features of all shards into one file",
        calls.gather,
        (
            reads("features", "features of the first shard; those of the others lie beside it"),
            reads("fetched", FIRST_FETCHED, nargs="?", required=False),
            Option(
                "max-missing",
                "share of the clips that may have no features, from 0 to 1 (default: 1)",
                settings={"type": float, "default": 1.0},
            ),
            Option(
                "may-be-empty",
                "write the file even if no clip has features",
                settings={"action": "store_true"},
            ),
            makes("out", "features to write"),
        ),
        request=GatherRequest,
        prepare=calls.prepare_gather,
    ),
    Command(
        "embed",
        "give each class name a vector",
        calls.embed,
        (
            MANIFEST,
            makes("out", "text embeddings to write"),
            path("cache", "folder in which downloaded models are kept"),
        ),
        request=EmbedRequest,
    ),
    Command(
        "split",
        "put each clip into one of five partitions",
        calls.split,
        (
            MANIFEST,
            makes("out", "table of the split to write"),
            makes("audit", "audit of the split to write"),
        ),
        request=SplitRequest,
    ),
    Command(
        "audit",
        "check whether the media, features and text embeddings of a split leak",
        calls.audit,
        (
            reads("split", "table of the split"),
            reads("fetched", FIRST_FETCHED, nargs="?", required=False),
            reads_all("features", "features of each backbone, of all shards"),
            reads_all("labels", "text embeddings, each from its own file"),
            makes("out", "audit to write"),
        ),
        request=AuditRequest,
        prepare=calls.prepare_fetched,
    ),
    Command(
        "train",
        "train one candidate (stage 1), or the selected one (stage 2)",
        calls.train,
        (
            *PROBLEM,
            makes("out", "checkpoint to write"),
            makes("history", "scores of each epoch to write"),
            path(
                "resume",
                "file for the state after an epoch; an interrupted training continues from it",
            ),
            Option(
                "stage",
                "stage of the protocol",
                settings={"type": int, "choices": (1, 2), "required": True},
            ),
            reads("selection", "what 'avca select' chose; for --stage 2", required=False),
        ),
        request=TrainRequest,
        uses_device=True,
        prepare=calls.prepare_train,
    ),
    Command(
        "select",
        "choose candidate, epoch and bias by the scores on validation clips",
        calls.select,
        (
            reads_all("histories", "histories of all candidates, in the order of the settings"),
            makes("out", "selection to write"),
        ),
        request=SelectRequest,
    ),
    Command(
        "evaluate",
        "score the trained network on the test clips",
        calls.evaluate,
        (
            *PROBLEM,
            reads("checkpoint", "trained network of stage 2"),
            reads("selection", "what 'avca select' chose"),
            makes("out", "scores to write"),
            makes("embeddings", "embeddings of test clips and classes to write"),
            makes("predictions", "predictions of test clips to write, as CSV"),
        ),
        request=EvaluateRequest,
        uses_device=True,
    ),
    Command(
        "apply",
        "classify the clips of a dataset with a run, a bundle, or a set of encoders",
        calls.apply,
        (
            MANIFEST,
            reads("fetched", FIRST_FETCHED, nargs="?", required=False),
            *FEATURES,
            *(
                reads(name, f"{what} of the run, if it is one of the config", **OPTIONAL)
                for name, what in (
                    ("scores", "scores"),
                    ("checkpoint", "network of stage 2"),
                    ("labels", "text embeddings of the classes"),
                    ("split", "where its method looks at training clips again, table of the split"),
                )
            ),
            reads_all("trained-on", "features of these clips", required=False, default=[]),
            makes("out", "predictions to write"),
            path("cache", "folder in which downloaded models are kept"),
        ),
        request=ApplyRequest,
        uses_device=True,
        prepare=calls.prepare_fetched,
    ),
    Command(
        "report",
        "make the table and the page of all runs; @FILE takes arguments from a file, one a line",
        calls.report,
        (
            reads_all("scores", "scores of each run"),
            reads_all("embeddings", "embeddings of each run"),
            reads_all("predictions", "predictions of each run"),
            reads_all("histories", "histories of stage 1 of each candidate of each run"),
            reads_all("audits", "audits of each split of each dataset"),
            reads_all("data-audits", "audits of the data of each split of each dataset"),
            reads_all("manifests", "table of all clips of each dataset"),
            reads_all("fetched", f"for each dataset with media: {FIRST_FETCHED}"),
            reads_all("features", "features of each backbone of each dataset"),
            reads_all("applied", "predictions of each entry under apply"),
            makes("out", "page to write"),
            makes("table", "table of the results to write, as CSV"),
            makes(
                "files",
                "folder to write: the table for LaTeX and Markdown, BibTeX, figures as SVG",
            ),
        ),
        request=ReportRequest,
        prepare=calls.prepare_report,
        has_arguments_file=True,
    ),
    Command(
        "export",
        "write a split, features and text embeddings in the published layout",
        calls.export,
        (*PROBLEM, makes("out", "folder to write")),
        request=ExportRequest,
    ),
)
