"""Calls the stage of each command with its options.

A stage is imported when its command is called: some import torch, and ``--help`` need not wait.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import logging
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.manifest import shards_beside
from avca_pipeline.artifacts.records import Expected
from avca_pipeline.errors import PipelineError
from avca_pipeline.requests import named_files
from avca_pipeline.runtime.device import choose_device
from avca_pipeline.stages import VERSIONS

logger = logging.getLogger(__name__)


def _stage(name: str) -> Any:
    return importlib.import_module(f"avca_pipeline.stages.{name}")


def init(o: argparse.Namespace) -> None:
    """Writes a config for the user's data."""
    importlib.import_module("avca_pipeline.commands.init").run(
        o.kind,
        o.path,
        o.out,
        weights=o.weights,
        features_only=o.features,
        force=o.force,
    )


def run(o: argparse.Namespace) -> None:
    """Starts Snakemake."""
    importlib.import_module("avca_pipeline.commands.run").run(o.words)


def check(o: argparse.Namespace) -> None:
    """Checks a config."""
    from avca_pipeline.config import load

    config, check_command = load(o.config), importlib.import_module("avca_pipeline.commands.check")
    check_command.run(config)
    check_command.run_applied(config, VERSIONS)
    importlib.import_module("avca_pipeline.commands.check_data").run(config)
    plan = importlib.import_module("avca_pipeline.planning.plan")
    for line in plan.lines(config, plan.this_device()):
        logger.info(f"plan: {line}")
    logger.info(f"{o.config}: good")


def explain(o: argparse.Namespace) -> None:
    """Explains a part of a config."""
    importlib.import_module("avca_pipeline.commands.explain").run(o.key)


def list_plugins(o: argparse.Namespace) -> None:
    """Prints the plugins of a kind."""
    importlib.import_module("avca_pipeline.commands.list").run(o.kind, lists_choices=o.all)


def schema(o: argparse.Namespace) -> None:
    """Writes the schema of a config."""
    importlib.import_module("avca_pipeline.commands.schema").run(o.out)


def lists(o: argparse.Namespace) -> None:
    """Downloads the lists of a benchmark."""
    source = {} if o.address is None else {"address": o.address}
    importlib.import_module("avca_pipeline.commands.lists").run(o.benchmark, o.out, **source)


def fetch_features(o: argparse.Namespace) -> None:
    """Downloads and unpacks published features."""
    module = importlib.import_module("avca_pipeline.commands.fetch_features")
    module.run(o.name, o.out, o.archive, o.address)


def manifest(o: argparse.Namespace) -> None:
    """Lists the clips of a dataset."""
    _stage("manifest").run(o.request, o.out, o.shards)
    if o.made is not None:
        lists = shards_beside(o.shards / "first.csv", o.request.num_shards)
        records.write_lists(Expected.from_json(o.made).results, lists)


def fetch(o: argparse.Namespace) -> None:
    """Fetches the media of a shard."""
    _stage("fetch").run(o.request, o.clips, o.raw, o.out, o.download, o.pack)


def extract(o: argparse.Namespace) -> None:
    """Extracts the features of a shard."""
    _stage("extract").run(
        o.request,
        o.clips,
        o.fetched,
        o.out,
        cache=o.cache,
        device=_device(o),
        workers=max(1, (o.threads or os.cpu_count() or 1) - 1),
        media=o.media,
    )


def import_(o: argparse.Namespace) -> None:
    """Imports the features of a shard."""
    _stage("import_").run(o.request, o.clips, o.out, cache=o.cache)


def prepare_fetched(o: argparse.Namespace) -> None:
    """Names the tables of fetched media of all shards."""
    o.fetched = shards_beside(o.fetched, o.request.num_shards) if o.fetched else []


def prepare_gather(o: argparse.Namespace) -> None:
    """Names the files of all shards."""
    o.features = shards_beside(o.features, o.request.num_shards)
    prepare_fetched(o)


def gather(o: argparse.Namespace) -> None:
    """Gathers the features of all shards."""
    _stage("gather").run(
        o.request, o.features, o.out, o.fetched, o.max_missing, may_be_empty=o.may_be_empty
    )


def embed(o: argparse.Namespace) -> None:
    """Embeds class names."""
    _stage("embed").run(o.request, o.clips, o.out, cache=o.cache)


def split(o: argparse.Namespace) -> None:
    """Splits a dataset."""
    _stage("split").run(o.request, o.clips, o.out, o.audit)


def audit(o: argparse.Namespace) -> None:
    """Audits the data of a split."""
    _stage("audit").run(o.request, o.split, o.fetched, o.features, o.labels, o.out)


def train(o: argparse.Namespace) -> None:
    """Trains a candidate."""
    shared = {"resume": o.resume, "device": _device(o)}
    if o.stage == 1:
        _stage("train").run_stage1(o.request, _problem(o), o.out, o.history, **shared)
    else:
        _stage("train").run_stage2(o.request, _problem(o), o.selection, o.out, o.history, **shared)


def prepare_train(o: argparse.Namespace) -> None:
    """Raises `PipelineError` where stage 2 does not know what was selected."""
    if o.stage == 2 and o.selection is None:
        raise PipelineError("--stage 2 needs --selection")


def select(o: argparse.Namespace) -> None:
    """Selects a candidate."""
    _stage("select").run(o.request, o.histories, o.out)


def evaluate(o: argparse.Namespace) -> None:
    """Evaluates a run."""
    _stage("evaluate").run(
        o.request,
        o.checkpoint,
        o.selection,
        _problem(o),
        o.out,
        o.embeddings,
        o.predictions,
        device=_device(o),
    )


def apply(o: argparse.Namespace) -> None:
    """Classifies the clips of a dataset."""
    gathered = {name: getattr(o, name) for name in ("video", "audio") if getattr(o, name)}
    stage = _stage("apply")
    stage.run(
        o.request,
        stage.ClipFiles(o.clips, o.fetched, gathered),
        stage.RunFiles(o.scores, o.checkpoint, o.labels, o.split, o.trained_on),
        o.out,
        cache=o.cache,
        device=_device(o),
    )


def prepare_report(o: argparse.Namespace) -> None:
    """Names the files of all shards."""
    with_media = [part.num_shards for part in o.request.all_datasets if part.num_shards]
    of_datasets = named_files("fetched", with_media, o.fetched)
    shards = (shards_beside(first, num_shards) for num_shards, first in of_datasets)
    o.fetched = list(itertools.chain.from_iterable(shards))


def report(o: argparse.Namespace) -> None:
    """Writes the report."""
    stage = _stage("report")
    request, files = o.request, {of.name: getattr(o, of.name) for of in fields(stage.ReportFiles)}
    results = None if o.made is None else Expected.from_json(o.made).results
    if results is not None:
        planning = importlib.import_module("avca_pipeline.planning.found")
        request, files = planning.found_still(request, files, results)
    stage.run(request, stage.ReportFiles(**files), o.out, o.table, o.files, results)


def export(o: argparse.Namespace) -> None:
    """Exports a split and its data."""
    _stage("export").run(o.request, _problem(o), o.out)


def predict(o: argparse.Namespace) -> None:
    """Classifies videos."""
    importlib.import_module("avca_pipeline.commands.predict").run(
        _classifier(o),
        o.videos,
        classes=o.classes,
        top=o.top,
        timeline=o.timeline,
        leave_out_seen=o.leave_out_seen,
        out=o.out,
    )


def serve(o: argparse.Namespace) -> None:
    """Serves a page on which videos are classified."""
    command = importlib.import_module("avca_pipeline.commands.serve")
    command.check_installed()
    config = importlib.import_module("avca_pipeline.config")
    limits = config.LimitsSettings() if o.config is None else config.load(o.config).limits
    trained = _classifier(o)
    if o.max_duration is not None:
        trained = trained.with_max_duration(o.max_duration)
    elif o.config is not None:
        trained = trained.with_max_duration(limits.max_duration_s)
    own = trained.class_names
    named = importlib.import_module("avca_pipeline.commands.predict").class_names
    names = own if o.classes is None else named(o.classes, own)
    command.run(
        trained, classes=names, max_bytes=o.max_bytes or limits.max_bytes, host=o.host, port=o.port
    )


def _classifier(o: argparse.Namespace) -> Any:
    """Returns what classifies, as the options say."""
    api = importlib.import_module("avca_pipeline.api")
    if (o.run is None) == (o.zero_shot is None):
        raise PipelineError("give either --run, a trained run or a bundle, or --zero-shot")
    if o.threads:
        importlib.import_module("torch").set_num_threads(o.threads)
    shared = {"device": o.device, "workers": o.threads and max(1, o.threads - 1)}
    if o.run is None:
        return api.zero_shot(o.zero_shot, config=o.config, cache=o.cache, **shared)
    cache = {} if o.cache is None else {"cache": o.cache}
    return api.load_run(o.run, weights=dict(o.weights), **cache, **shared)


def bundle(o: argparse.Namespace) -> None:
    """Writes a bundle of a run."""
    importlib.import_module("avca_pipeline.commands.bundle").run(o.run, o.out)


def fiftyone(o: argparse.Namespace) -> None:
    """Writes a run for FiftyOne."""
    importlib.import_module("avca_pipeline.commands.fiftyone").run(o.run, o.out)


def compare(o: argparse.Namespace) -> None:
    """Shows two results side by side."""
    importlib.import_module("avca_pipeline.commands.compare").run(o.first, o.second, o.out)


def publish(o: argparse.Namespace) -> None:
    """Publishes features or a run."""
    importlib.import_module("avca_pipeline.commands.publish").run(
        o.what, o.paths, o.out, licence=o.licence, to=o.to
    )


def _problem(o: argparse.Namespace) -> dict[str, Path]:
    features = {name: getattr(o, name) for name in ("video", "audio") if getattr(o, name)}
    if not features:
        raise PipelineError("--video, --audio: both are missing; give one of them, or both")
    return {"split": o.split, "labels": o.labels, **features}


def _device(o: argparse.Namespace) -> str:
    return choose_device(o.device, o.threads, o.jobs_per_gpu, f"avca {o.command}")
