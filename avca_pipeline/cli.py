"""The command line: one command for each stage. Parses, calls, and says what went wrong; no logic.

``--settings`` is the part of the config that the stage's result depends on, as JSON. The workflow
fills it in, so that a line pasted from a log runs by itself.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline import __version__
from avca_pipeline.artifacts.manifest import all_shards
from avca_pipeline.artifacts.records import Expected
from avca_pipeline.artifacts.text_files import parse_json
from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime import gpus, logs
from avca_pipeline.runtime.sealing import unsealed

logger = logging.getLogger(__name__)

# Options of commands that take all shards of something; the first one stands for all.
SHARDS = ("fetched", "features")
# Options with parts of the config, in which the workflow hides the secrets of addresses.
SEALED = ("settings", "download")
# What commands make, by their options.
MAKES = {
    **dict.fromkeys(
        ("fetch", "extract", "import", "gather", "embed", "audit", "select", "export"), ("out",)
    ),
    "split": ("out", "audit"),
    "train": ("out", "history"),
    "evaluate": ("out", "embeddings"),
    "report": ("out", "table"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 1 for what a user can put right."""
    options = _parser().parse_args(arguments)
    _need_no_home()
    logs.show_on_screen()
    try:
        with logs.copied_to(options.log):
            try:
                _call(options)
            except PipelineError as error:
                # Its lines say all that a user needs; a traceback would hide them.
                for line in error.lines:
                    logger.error(f"avca {options.command}: error: {line}")  # noqa: TRY400
                return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Not even the log can be written.
        print(
            f"avca {options.command}: error: {error.strerror}; make room and run the same again",
            file=sys.stderr,
        )
        return 1
    return 0


def _need_no_home() -> None:
    """Keeps torchvision from making a folder for compiled code, of which we have none.

    Importing it makes one in TMPDIR, named after the user: without room there, or for a user whom
    the system has no name for, as in containers, that fails.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", "/")


def _call(options: argparse.Namespace) -> None:
    """Runs a command; in the workflow only on what it expects, and with a record of the result.

    Raises:
        PipelineError: an input is not what the workflow expects, or changed meanwhile; or the
            rest of an address in the settings is not in the environment.
    """
    for option in SEALED:
        if (given := getattr(options, option, None)) is not None:
            setattr(options, option, unsealed(given))
    for option in SHARDS:
        if isinstance(given := getattr(options, option, None), list):
            setattr(options, option, all_shards(given))
    if getattr(options, "made", None) is None:
        options.call(options)
        return
    expected = Expected.from_json(options.made)
    read = {option: getattr(options, option) for option in expected.inputs}
    inputs = {option: v if isinstance(v, list) else [v] for option, v in read.items()}
    outputs = [getattr(options, name) for name in MAKES[options.command]]
    states = _states(inputs)
    digests = expected.check(inputs)
    if expected.keep(outputs, digests):
        logger.info(
            f"avca {options.command}: made from the same as before, so it is kept: {outputs[0]}"
        )
    else:
        options.call(options)
    if _states(inputs) != states and expected.check(inputs) != digests:
        raise PipelineError(f"{outputs[0]}: its inputs changed meanwhile; run the same again")
    expected.write(outputs, digests)


def _states(files: dict[str, list[Path]]) -> list[tuple[int, ...]]:
    """Returns what changes when any of these files is replaced or written to."""
    found = [path.stat() for paths in files.values() for path in paths if path.exists()]
    return [(one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found]


def _stage(name: str) -> Any:
    return importlib.import_module(f"avca_pipeline.stages.{name}")


def _manifest(o: argparse.Namespace) -> None:
    given = o.settings
    _stage("manifest").run(given["plugin"], given["settings"], given["num_shards"], o.out, o.shards)


def _fetch(o: argparse.Namespace) -> None:
    given = o.settings
    _stage("fetch").run(
        given["plugin"],
        given["settings"],
        o.clips,
        o.raw,
        o.out,
        o.download,
        o.pack,
        limits=given.get("limits"),
    )


def _extract(o: argparse.Namespace) -> None:
    _stage("extract").run(
        o.settings["plugin"],
        o.settings["settings"],
        o.settings["limits"],
        o.clips,
        o.fetched,
        o.out,
        cache=o.cache,
        device=_device(o),
        workers=max(1, (o.threads or os.cpu_count() or 1) - 1),
        media=o.media,
        keep_windows=o.keep_windows,
    )


def _import(o: argparse.Namespace) -> None:
    _stage("import_").run(o.settings["settings"], o.clips, o.out)


def _gather(o: argparse.Namespace) -> None:
    _stage("gather").run(o.features, o.out, o.fetched, o.max_missing)


def _embed(o: argparse.Namespace) -> None:
    _stage("embed").run(o.settings["plugin"], o.settings["settings"], o.clips, o.out, cache=o.cache)


def _split(o: argparse.Namespace) -> None:
    _stage("split").run(o.settings, o.clips, o.out, o.audit)


def _audit(o: argparse.Namespace) -> None:
    _stage("audit").run(o.settings, o.split, o.fetched, o.features, o.labels, o.out)


def _train(o: argparse.Namespace) -> None:
    more = {"resume": o.resume, "device": _device(o)}
    if o.stage == 1:
        _stage("train").run_stage1(o.settings, _inputs(o), o.out, o.history, **more)
    elif o.selection is None:
        raise PipelineError("--stage 2 needs --selection")
    else:
        _stage("train").run_stage2(o.settings, _inputs(o), o.selection, o.out, o.history, **more)


def _select(o: argparse.Namespace) -> None:
    _stage("select").run(o.histories, o.out)


def _evaluate(o: argparse.Namespace) -> None:
    _stage("evaluate").run(
        o.settings["run"],
        o.checkpoint,
        o.selection,
        _inputs(o),
        o.out,
        o.embeddings,
        device=_device(o),
    )


def _report(o: argparse.Namespace) -> None:
    _stage("report").run(
        o.scores,
        o.embeddings,
        o.histories,
        o.audits,
        o.manifests,
        o.fetched,
        o.features,
        o.out,
        o.table,
        data_audits=o.data_audits,
    )


def _export(o: argparse.Namespace) -> None:
    _stage("export").run(o.settings, o.split, o.video, o.audio, o.labels, o.out)


def _lists(o: argparse.Namespace) -> None:
    more = {} if o.address is None else {"address": o.address}
    importlib.import_module("avca_pipeline.commands.lists").run(o.benchmark, o.out, **more)


def _check(o: argparse.Namespace) -> None:
    from avca_pipeline.config import load

    importlib.import_module("avca_pipeline.commands.check").run(load(o.config))
    logger.info(f"{o.config}: good")


def _schema(o: argparse.Namespace) -> None:
    importlib.import_module("avca_pipeline.commands.schema").run(o.out)


def _inputs(o: argparse.Namespace) -> dict[str, Path]:
    return {"split": o.split, "video": o.video, "audio": o.audio, "labels": o.labels}


def _device(o: argparse.Namespace) -> str:
    """Returns ``cuda`` where there is one, after giving torch its threads and its GPU."""
    from avca_pipeline.runtime.lazy import torch

    names, why = ([], "") if o.device == "cpu" else gpus.visible_or_why()
    if names:
        name = gpus.reserve(names, o.jobs_per_gpu)
        gpus.choose(name)
        logger.info(f"avca {o.command}: on {name}")
    if o.threads:
        torch.set_num_threads(o.threads)
    # torch is asked only where there is something to ask about: it looks at every GPU.
    is_usable = bool(names) and torch.cuda.is_available()
    if o.device == "cuda" and not is_usable:
        because = "torch cannot use it" if names else why
        raise PipelineError(
            f"--device cuda: there is no usable GPU ({because}); leave it out to use the CPU"
        )
    if o.device == "auto" and not names and gpus.is_expected():
        logger.warning(f"avca {o.command}: CUDA shows no GPU ({why}); on the CPU")
    if names and not is_usable:
        logger.warning(f"avca {o.command}: torch cannot use this GPU; on the CPU instead")
    return "cuda" if is_usable else "cpu"


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="avca", description="Audio-visual zero-shot learning, one command for each stage."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")

    def command(
        name: str,
        call: Callable[[argparse.Namespace], None],
        text: str,
        files: str = "",
        lists: str = "",
        *,
        settings: bool = True,
        device: bool = False,
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(call=call)
        if settings:
            sub.add_argument("--settings", type=_json, required=True, help="JSON from the config")
        for option in files.split():
            sub.add_argument(f"--{option}", type=Path, required=True)
        for option in lists.split():
            sub.add_argument(f"--{option}", type=Path, required=True, nargs="*")
        if device:
            sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
            sub.add_argument("--threads", type=int, help="CPU threads (default: all)")
            sub.add_argument("--jobs-per-gpu", type=int, default=1, help="that may share one")
        if name in MAKES:
            sub.add_argument("--made", help="JSON of the workflow: what the result is made from")
        sub.add_argument("--log", type=Path, help="file to write the lines to as well")
        return sub

    problem = "split labels video audio"
    sub = command("check", _check, "check a config and the files it names", settings=False)
    sub.add_argument("config", type=Path, nargs="?", default=Path("config.yaml"))
    command("schema", _schema, "write the JSON Schema of a config", "out", settings=False)
    sub = command("lists", _lists, "download a benchmark's lists", "out", settings=False)
    sub.add_argument("--benchmark", required=True, help="UCF, ActivityNet or VGGSound")
    sub.add_argument("--address", help="of a mirror of the authors' repository")
    command("manifest", _manifest, "list the clips of a dataset", "out shards")
    sub = command("fetch", _fetch, "have every clip's media here, or a reason", "clips raw out")
    sub.add_argument("--download", type=_json, help="JSON: how, where clips are downloaded")
    sub.add_argument("--pack", type=Path, help="archive to write of the media put into --raw")
    sub = command(
        "extract",
        _extract,
        "turn clips into features of one backbone",
        "clips fetched out cache",
        device=True,
    )
    sub.add_argument("--media", type=Path, help="archive that fetch packed, on another machine")
    sub.add_argument("--keep-windows", action="store_true", help="keep every window's features")
    command("import", _import, "take over features that were made elsewhere", "clips out")
    sub = command(
        "gather",
        _gather,
        "put the features of all shards into one file",
        "out",
        "features",
        settings=False,
    )
    sub.add_argument("--fetched", type=Path, nargs="*", default=[], help="tables of all shards")
    sub.add_argument("--max-missing", type=float, default=1.0, help="share of the clips")
    command("embed", _embed, "give every class name a vector", "clips out cache")
    command("split", _split, "put every clip into one of five partitions", "clips out audit")
    command(
        "audit",
        _audit,
        "check a split's media, features and labels for leaks",
        "split out",
        "fetched features labels",
    )
    sub = command(
        "train",
        _train,
        "fit a candidate (stage 1) or the selected one (stage 2)",
        f"{problem} out history resume",
        device=True,
    )
    sub.add_argument("--stage", type=int, choices=(1, 2), required=True)
    sub.add_argument("--selection", type=Path, help="what stage 1 chose; for --stage 2")
    command(
        "select",
        _select,
        "choose candidate, epoch and bias on validation",
        "out",
        "histories",
        settings=False,
    )
    command(
        "evaluate",
        _evaluate,
        "score the trained network on the test clips",
        f"{problem} checkpoint selection out embeddings",
        device=True,
    )
    command(
        "report",
        _report,
        "make the table and the page",
        "out table",
        "scores embeddings histories audits data-audits manifests fetched features",
        settings=False,
    )
    command(
        "export",
        _export,
        "write split, features and labels in the published layout",
        f"{problem} out",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
