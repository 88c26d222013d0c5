"""What the rules share: the typed config, and where files are."""

import fcntl
import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from os import environ

from avca_pipeline import config as avca_config
from avca_pipeline import slurm
from avca_pipeline.artifacts.manifest import shard_names
from avca_pipeline.errors import PipelineError
from avca_pipeline.official import layout
from avca_pipeline.stages import VERSIONS, check

# `avca` is installed beside this Python; a conda environment, where one is used, comes before it.
environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environ["PATH"]


def stop_on_user_errors(call, *arguments):
    """Calls, and turns what a user can put right into one line and exit code 1."""
    try:
        return call(*arguments)
    except PipelineError as error:
        print(f"avca: error: {error}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def alone():
    """Yields whether no other run is alive in this folder, and lets none begin meanwhile.

    Every run holds a share of a lock that the operating system drops with the process, also on
    `kill -9`; whoever gets all of it is alone. Where files cannot be locked, nobody is.
    """
    try:
        fcntl.flock(ALIVE_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_alone = True
    except OSError:
        is_alone = False
    try:
        yield is_alone
    finally:
        with suppress(OSError):
            fcntl.flock(ALIVE_LOCK, fcntl.LOCK_SH)


def cancel_orphans():
    """Cancels what a killed run left in Slurm; called once it is sure that this is no dry run."""
    if workflow.executor_plugin.name != "slurm" or not workflow.executor_settings.jobname_prefix:
        return
    with alone() as is_alone:
        if is_alone:
            slurm.cancel_orphans(
                workflow.executor_settings.jobname_prefix, workflow.workdir_init
            )


if workflow.is_main_process:
    os.makedirs(".snakemake", exist_ok=True)
    ALIVE_LOCK = open(".snakemake/alive.lock", "w")
    with alone() as is_alone:
        if is_alone:  # Snakemake's own lock stays behind after `kill -9`
            shutil.rmtree(".snakemake/locks", ignore_errors=True)

# All cores of one machine. On a cluster none are given, and the profile says how many a job gets.
ALL_CORES = workflow.resource_settings.cores or 1

CONFIG = stop_on_user_errors(avca_config.parse, dict(config))
stop_on_user_errors(avca_config.check_inputs, CONFIG)

RESULTS = CONFIG.results
RUN = f"{RESULTS}/{{dataset}}/runs/{{split}}/{{feature_set}}/{{text_embedding}}/{{model}}/seed{{seed}}"
LOGS = f"{RESULTS}/{{dataset}}/logs"
BENCHMARKS = f"{RESULTS}/{{dataset}}/benchmarks"
RUN_NAME = "{split}/{feature_set}/{text_embedding}/{model}/seed{seed}"


wildcard_constraints:
    dataset="[^/]+",
    shard=r"\d{5}-of-\d{5}",
    backbone="[^/]+",
    split="[^/.]+(\\.[^/.]+)*?",
    feature_set="[^/]+",
    text_embedding="[^/]+",
    model="[^/]+",
    seed=r"\d+",
    candidate="[^/]+",


def settings(stage, name="", **more):
    """Returns the part of the config that a stage's result depends on; with its version, a key."""
    return avca_config.settings_of(CONFIG, stage, name, version=VERSIONS[stage], **more)


def one_of(names):
    """Returns a pattern for one of these names; for none of anything if there are no names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def shards(dataset):
    return shard_names(CONFIG.num_shards[dataset])


def manifest(wildcards):
    return checkpoints.manifest.get(dataset=wildcards.dataset).output.manifest


def shard_list(wildcards):
    return f"{checkpoints.manifest.get(dataset=wildcards.dataset).output.shards}/{wildcards.shard}.csv"


def features_of(dataset, backbone):
    return [f"{RESULTS}/{dataset}/features/{backbone}/{shard}.h5" for shard in shards(dataset)]


def features_in_set(modality):
    def paths(wildcards):
        backbone = getattr(CONFIG.feature_sets[wildcards.feature_set], modality)
        return features_of(wildcards.dataset, backbone)

    return paths


def problem(**more):
    """Returns the inputs of every rule that works on features, labels and a split."""
    return dict(
        split=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        labels=f"{RESULTS}/{{dataset}}/labels/{{text_embedding}}.h5",
        video=features_in_set("video"),
        audio=features_in_set("audio"),
        # It must have passed; what it says changes no training.
        audit=ancient(f"{RESULTS}/{{dataset}}/audits/{{split}}.json"),
        **more,
    )


def run_files(name):
    return [f"{RESULTS}/{run.path}/{name}" for run in CONFIG.runs()]


def train_settings(wildcards, **more):
    return settings(
        "train",
        wildcards.model,
        feature_set=wildcards.feature_set,
        seed=int(wildcards.seed),
        **more,
    )


PROBLEM_OPTIONS = (
    "--split {input.split:q} --labels {input.labels:q} --video {input.video:q} --audio {input.audio:q}"
)
