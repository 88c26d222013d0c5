"""What the rules share: the typed config, and where files are."""

import functools
import json
import os
import re
import shutil
import sys
from os import environ
from pathlib import Path

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from avca_pipeline import config as avca_config
from avca_pipeline.runtime import gpus, locks, logs, sealing, slurm
from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.manifest import SHARD_PATTERN, shard_names
from avca_pipeline.errors import PipelineError
from avca_pipeline.published import layout
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.planning.staleness import Staleness, staleness
from avca_pipeline.stages import VERSIONS
from avca_pipeline.commands import check

# `avca` is installed beside this Python; a conda environment, where one is used, comes before it.
environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environ["PATH"]
logs.show_on_screen()


RISK = "nothing keeps two runs from working here at the same time; start one only"


def join_runs():
    """Returns this run's share of the lock that all runs in this folder have.

    Snakemake's own lock stays behind after `kill -9`. Whoever is alone forgets it.
    """
    try:
        os.makedirs(".snakemake", exist_ok=True)
        share = locks.join(Path(".snakemake/alive.lock"), RISK)
    except OSError as error:
        raise PipelineError(
            f"{os.getcwd()}: cannot be written ({error.strerror}), and Snakemake has to; "
            "name a folder of yours with --directory"
        ) from error
    with locks.alone(share) as is_alone:
        if is_alone:
            shutil.rmtree(".snakemake/locks", ignore_errors=True)
    return share


def stop_unless_alone():
    """Keeps others away from these results, who may have been started in another folder."""
    try:
        os.makedirs(RESULTS, exist_ok=True)
        is_alone = locks.hold(Path(RESULTS, ".lock"), RISK)
    except OSError as error:
        raise PipelineError(
            f"results: {RESULTS}: cannot be written ({error.strerror}); name another folder"
        ) from error
    if not is_alone:
        raise PipelineError(
            f"results: {RESULTS}: another run is at work there; wait for its end, or name "
            "another folder"
        )


def before_the_first_job():
    """Sees that nobody else is at work here, and that nothing is known to fail."""
    if IS_SHARED:  # else there are no results here
        stop_unless_alone()
    prefix = getattr(workflow.executor_settings, "jobname_prefix", "")
    with locks.alone(SHARE) as is_alone:
        if prefix and is_alone:
            slurm.cancel_orphans(prefix, workflow.workdir_init)
    check.run(CONFIG)
    if IS_SHARED:
        stop_on_user_errors(JOBS.write_facts, FACTS)
        records.keep(Path(RESULTS), stale().perhaps)


def forget_what_was_kept():
    """Removes the second names of results that might have turned out to be the same."""
    if IS_SHARED:
        records.keep(Path(RESULTS), [])


if workflow.is_main_process:
    SHARE = stop_on_user_errors(join_runs)

CONFIG = stop_on_user_errors(avca_config.parse, dict(config))
if workflow.is_main_process:
    stop_on_user_errors(avca_config.check_inputs, CONFIG)

RESULTS = CONFIG.results
RUN = f"{RESULTS}/{{dataset}}/runs/{{split}}/{{feature_set}}/{{text_embedding}}/{{model}}/seed{{seed}}"
LOGS = f"{RESULTS}/{{dataset}}/logs"
BENCHMARKS = f"{RESULTS}/{{dataset}}/benchmarks"
RUN_NAME = "{split}/{feature_set}/{text_embedding}/{model}/seed{seed}"

IS_SHARED = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage
# Where jobs do not see each other's disks, what fetch puts on its own travels with its table.
MEDIA = {} if IS_SHARED else {"media": f"{RESULTS}/{{dataset}}/media/{{shard}}.tar"}


@functools.cache
def stale():
    """Returns what has to be made anew, of the results that are here."""
    if not IS_SHARED or not workflow.is_main_process:
        return Staleness()
    found = stop_on_user_errors(staleness, JOBS, workflow.dag_settings.forcerun)
    for line in found.summary():
        print(f"avca: {line}", file=sys.stderr)
    return found


FACTS = Path(RESULTS, records.FOLDER, "facts.json")
JOBS = Jobs(
    CONFIG,
    VERSIONS,
    Digests(Path(RESULTS, records.FOLDER, "digests.json")),
    FACTS if IS_SHARED and not workflow.is_main_process else None,
)


wildcard_constraints:
    dataset="[^/]+",
    shard=SHARD_PATTERN,
    backbone="[^/]+",
    split="[^/.]+(\\.[^/.]+)*?",
    feature_set="[^/]+",
    text_embedding="[^/]+",
    model="[^/]+",
    seed=r"\d+",
    candidate="[^/]+",


def gpu_places():
    """Returns how many jobs may use this machine's GPUs at a time; 0 if it has none.

    Jobs choose among them by themselves. On a cluster its scheduler hands them out.
    """
    if workflow.nodes is not None or not workflow.is_main_process:
        return 0
    if "gpu" not in workflow.global_resources:
        places = len(gpus.visible()) * CONFIG.jobs_per_gpu
        if not places:
            return 0
        workflow.register_resource("gpu", places)
    return workflow.global_resources["gpu"].value


GPU_PLACES = gpu_places()


def all_cores(wildcards):
    """Returns the cores of this machine; on a cluster it is for the profile to say more than one."""
    return workflow.cores if workflow.nodes is None else 1


def showable(text):
    """Returns JSON that may stand in a log; jobs find what is left out in their environment."""
    value, secrets = sealing.sealed(json.loads(text))
    environ.update(secrets)
    return avca_config.canonical(value)


def own_files(find, *arguments):
    """Returns the user's files that a job reads, where no file system is shared.

    Their mark makes Snakemake run the job itself, where they are; a job elsewhere must not look for
    them. On one file system they are no inputs: their content is part of what `asked` says, and
    their names are no patterns of ours.
    """
    if not IS_SHARED and workflow.is_main_process:
        return local(stop_on_user_errors(find, *arguments))
    return []


def one_of(names):
    """Returns a pattern for one of these names; for none of anything if there are no names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def shards(dataset):
    return shard_names(CONFIG.num_shards[dataset])


def reads(reader, **inputs):
    """Returns the inputs of a rule.

    Dates of results decide nothing. What has to be made anew is known before
    (`planning.staleness`); only that and what is not there waits for its inputs to be made anew.
    Where no file system is shared, results are not here to be looked at, and dates have to do.

    Args:
        reader: name of the rule.
        inputs: paths with wildcards, or a function of the wildcards that returns paths.
    """

    def input_function(given):
        def paths(wildcards):
            found = given(wildcards) if callable(given) else given
            listed = [found] if isinstance(found, str) else list(found)
            listed = [path.format(**wildcards) for path in listed]
            listed = list(map(ancient, listed)) if is_made(reader, *names(wildcards)) else listed
            return listed[0] if isinstance(found, str) else listed

        return paths

    return {name: input_function(given) for name, given in inputs.items()}


@functools.cache
def is_made(reader, *names):
    """Returns whether the results of a job are here and up to date."""
    if not IS_SHARED:
        return False
    if not workflow.is_main_process:  # which runs one job, whatever its inputs are
        return True
    workflow.dag.forcefiles.update(f"{RESULTS}/{path}" for path in stale().paths)
    made = stop_on_user_errors(JOBS, reader, *names).outputs
    return stale().paths.isdisjoint(made) and all(Path(RESULTS, path).exists() for path in made)


def clips(wildcards):
    """Returns the lists of clips of all shards, or where results are not here that of one shard."""
    if IS_SHARED:
        return f"{RESULTS}/{wildcards.dataset}/shards"
    # Not made of the checkpoint's output: in object storage that is the path of a local copy.
    checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"{RESULTS}/{wildcards.dataset}/shards/{wildcards.shard}.csv"


def manifest(wildcards):
    if not IS_SHARED:
        checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"{RESULTS}/{wildcards.dataset}/manifest.csv"


def shards_of_features(dataset, backbone):
    return [f"{RESULTS}/{dataset}/features/{backbone}/{shard}.h5" for shard in shards(dataset)]


def features_of(dataset, backbone):
    return f"{RESULTS}/{dataset}/features/{backbone}.h5"


def features_in_set(modality):
    def path(wildcards):
        backbone = getattr(CONFIG.feature_sets[wildcards.feature_set], modality)
        return features_of(wildcards.dataset, backbone)

    return path


def problem(reader, **more):
    """Returns the inputs of a rule that works on features, labels and a split."""
    return reads(
        reader,
        split=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        labels=f"{RESULTS}/{{dataset}}/labels/{{text_embedding}}.h5",
        video=features_in_set("video"),
        audio=features_in_set("audio"),
        **more,
    )


def audited():
    """Returns the audit that must have passed before training; what it says changes nothing."""
    return dict(audit=ancient(f"{RESULTS}/{{dataset}}/audits/{{split}}.json"))


def fetched(dataset):
    return [
        f"{RESULTS}/{dataset}/fetched/{shard}.csv"
        for shard in shards(dataset)
        if dataset in CONFIG.with_media()
    ]


def run_files(name):
    return [f"{RESULTS}/{run.path}/{name}" for run in CONFIG.runs()]


def names(wildcards):
    """Returns the values of a rule's wildcards in the order in which its job is asked for."""
    return [value for name in WILDCARDS if (value := getattr(wildcards, name, None)) is not None]


def asked(reader):
    """Returns the parameters of a rule: settings of its stage, and what it is to be made from.

    ``made`` is part of the command where results are here. Elsewhere it makes Snakemake see what
    has changed, from the process that plans; no other one has the files of the user.
    """

    def made(wildcards):
        if IS_SHARED or workflow.is_main_process:
            return stop_on_user_errors(
                lambda: JOBS.expected(JOBS(reader, *names(wildcards))).to_json()
            )
        return ""

    return dict(
        settings=lambda wildcards: showable(JOBS.settings(reader, *names(wildcards))),
        made=made,
    )


WILDCARDS = (
    "dataset", "split", "feature_set", "backbone", "text_embedding", "model", "seed", "candidate",
    "shard",
)  # fmt: skip
# Snakemake's linter takes a text that begins with a slash for an absolute path.
CLIPS = " --clips {input.clips:q}/{wildcards.shard}.csv" if IS_SHARED else " --clips {input.clips:q}"
MADE = " --made {params.made:q}" if IS_SHARED else ""
PROBLEM_OPTIONS = (
    "--split {input.split:q} --labels {input.labels:q} --video {input.video:q} --audio {input.audio:q}"
)
