"""What the rules share: the typed config, and where files are."""

import functools
import json
import os
import re
import sys
from os import environ
from pathlib import Path

from avca_pipeline import config as avca_config
from avca_pipeline.config import applied as applied_entries
from avca_pipeline.runtime import circumstances, gpus, locks, logs, sealing, slurm
from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.manifest import SHARD_PATTERN, shard_names
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.planning.kept_config import keep_config
from avca_pipeline.planning.staleness import Staleness, staleness
from avca_pipeline.stages import VERSIONS
from avca_pipeline.commands import check

# `avca` is installed beside this Python; a conda environment, where one is used, comes before it.
environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environ["PATH"]
logs.show_on_screen()


def check_own_folder():
    """Stops where Snakemake would end with a traceback, because it cannot write its own files."""
    place = ".snakemake" if os.path.isdir(".snakemake") else "."
    if not os.access(place, os.W_OK):
        raise PipelineError(
            f"{os.path.abspath(place)}: cannot be written, and Snakemake has to; name a folder of "
            "yours with --directory, and the config with --configfile"
        )


CONFIG = stop_on_user_errors(avca_config.parse, dict(config))
if is_main_process():
    stop_on_user_errors(check_own_folder)
    stop_on_user_errors(avca_config.check_inputs, CONFIG)

RESULTS = CONFIG.results
RUN = f"{RESULTS}/{{dataset}}/runs/{{split}}/{{feature_set}}/{{text_embedding}}/{{model}}/seed{{seed}}"
LOGS = f"{RESULTS}/{{dataset}}/logs"
BENCHMARKS = f"{RESULTS}/{{dataset}}/benchmarks"
RUN_NAME = "{split}/{feature_set}/{text_embedding}/{model}/seed{seed}"

IS_SHARED = is_one_file_system()
# Where jobs do not see each other's disks, what fetch puts on its own travels with its table.
PACKED_MEDIA = {} if IS_SHARED else {"media": f"{RESULTS}/{{dataset}}/media/{{shard}}.tar"}


@functools.cache
def stale():
    """Returns what has to be made anew, of the results that are here."""
    if not IS_SHARED or not is_main_process():
        return Staleness()
    plan = stop_on_user_errors(staleness, JOBS, targets_to_make_anew())
    for line in plan.summary():
        print(f"avca: {line}", file=sys.stderr)
    if is_a_run():  # a dry run leaves no trace, and reads the same files again the next time
        JOBS.digests.save()
    return plan


FACTS = Path(RESULTS, records.FOLDER, "facts.json")
JOBS = Jobs(
    CONFIG,
    VERSIONS,
    Digests(Path(RESULTS, records.FOLDER, "digests.json")),
    FACTS if IS_SHARED and not is_main_process() else None,
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
    applied="[^/]+",


def gpu_places():
    """Returns how many jobs may use this machine's GPUs at a time; 0 if it has none.

    Jobs choose among them by themselves. On a cluster its scheduler hands them out.
    """
    if runs_on_a_cluster() or not is_main_process():
        return 0
    if limit_of("gpu") is None and (places := len(gpus.visible()) * CONFIG.jobs_per_gpu):
        set_limit_of("gpu", places)
    return limit_of("gpu") or 0


GPU_PLACES = gpu_places()


def all_cores(wildcards):
    """Returns the cores of this machine; on a cluster one, unless the profile asks for more."""
    return 1 if runs_on_a_cluster() else cores_of_this_run()


def without_secrets(text):
    """Returns JSON for logs: jobs find the secrets that it leaves out in their environment."""
    value, secrets = sealing.sealed(json.loads(text))
    environ.update(secrets)
    return canonical_json(value)


def external_inputs(find, *arguments):
    """Returns the user's files that a job reads, where no file system is shared.

    Snakemake then runs the job itself, on the machine that has the files: they are marked as local.
    On one file system they are no inputs. There `params_of` tells Snakemake when their content
    changes, and a brace in their names is not taken for a wildcard.

    Args:
        find: function that returns the files.
        arguments: what it is called with.
    """
    if not IS_SHARED and is_main_process():
        return local(stop_on_user_errors(find, *arguments))
    return []


def alternatives(names):
    """Returns a pattern that matches each of these names and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def shards(dataset):
    """Returns the names of the shards of a dataset."""
    return shard_names(CONFIG.datasets[dataset].num_shards)


def inputs_of(reader, **inputs):
    """Returns the inputs of a rule.

    `planning.staleness` decides which results have to be made anew, before Snakemake plans. Dates do
    not count: if a result is up to date, its inputs are marked as ancient, and Snakemake does not
    compare the dates of such inputs. Without a shared file system the results are not on this
    machine; there Snakemake compares dates.

    Args:
        reader: name of the rule that reads the inputs.
        inputs: name of each input to its path with wildcards, to several such paths, or to a
            function of the wildcards that returns them.
    """

    def input_function(pattern):
        def paths(wildcards):
            patterns = pattern(wildcards) if callable(pattern) else pattern
            is_one_path = isinstance(patterns, str)
            listed = [path.format(**wildcards) for path in ([patterns] if is_one_path else patterns)]
            if is_up_to_date(reader, *values_of(wildcards)):
                listed = [ancient(path) for path in listed]
            return listed[0] if is_one_path else listed

        return paths

    return {name: input_function(pattern) for name, pattern in inputs.items()}


@functools.cache
def is_up_to_date(reader, *names):
    """Returns whether the results of a job are here and up to date."""
    # Versions of stages say which change of code changes results. Another workflow that imports
    # this one decides for itself.
    if not is_given_a_config():
        ignore_changes_of_code()
    if not IS_SHARED:
        return False
    if not is_main_process():  # which runs one job, whatever its inputs are
        return True
    make_anew(f"{RESULTS}/{path}" for path in stale().paths)
    made = stop_on_user_errors(JOBS, reader, *names).outputs
    return stale().paths.isdisjoint(made) and all(Path(RESULTS, path).exists() for path in made)


def clip_lists(wildcards):
    """Returns the folder of the lists of clips; on other machines the list of one shard alone."""
    if IS_SHARED:
        return f"{RESULTS}/{wildcards.dataset}/shards"
    # Not made of the checkpoint's output: in object storage that is the path of a local copy.
    checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"{RESULTS}/{wildcards.dataset}/shards/{wildcards.shard}.csv"


def clip_table(wildcards):
    """Returns the table of all clips of a dataset."""
    if not IS_SHARED:
        checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"{RESULTS}/{wildcards.dataset}/manifest.csv"


def shards_of_features(dataset, backbone):
    """Returns the features files of all shards."""
    return [f"{RESULTS}/{dataset}/features/{backbone}/{shard}.h5" for shard in shards(dataset)]


def features_of(dataset, backbone):
    """Returns the file with the features of all clips."""
    return f"{RESULTS}/{dataset}/features/{backbone}.h5"


def features_in_set(modality):
    """Returns a function of the wildcards: the features of one modality of the feature set, if any."""

    def path(wildcards):
        backbone = getattr(CONFIG.feature_sets[wildcards.feature_set], modality)
        return features_of(wildcards.dataset, backbone) if backbone else []

    return path


def training_inputs(reader, **more):
    """Returns the inputs of a rule that works on features, labels and a split."""
    return inputs_of(
        reader,
        split=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        labels=f"{RESULTS}/{{dataset}}/labels/{{text_embedding}}.h5",
        video=features_in_set("video"),
        audio=features_in_set("audio"),
        **more,
    )


def passed_audit():
    """Returns the audit that must have passed before training. Its content changes no result."""
    return dict(audit=ancient(f"{RESULTS}/{{dataset}}/audits/{{split}}.json"))


def fetched_tables(dataset):
    """Returns the tables of fetched clips of all shards; none for a dataset without media."""
    return [
        f"{RESULTS}/{dataset}/fetched/{shard}.csv"
        for shard in shards(dataset)
        if dataset in CONFIG.datasets_with_media()
    ]


def predictions_of(name):
    """Returns the predictions of an entry under `apply`."""
    return f"{RESULTS}/{CONFIG.apply[name].dataset}/predictions/{name}.csv"


def run_files(name):
    """Returns the file with this name of each run."""
    return [f"{RESULTS}/{run.path}/{name}" for run in CONFIG.runs()]


def values_of(wildcards):
    """Returns the values of a rule's wildcards in the order in which its job is asked for."""
    return [getattr(wildcards, name) for name in ORDER_OF_WILDCARDS if hasattr(wildcards, name)]


def params_of(reader):
    """Returns the parameters of a rule: the request of its stage, and what its result is made from.

    Where all jobs see the same results, ``made`` is part of the command. Elsewhere it tells Snakemake
    that something has changed; only the process that plans has the user's files and computes it.
    """

    def made(wildcards):
        if IS_SHARED or is_main_process():
            return stop_on_user_errors(
                lambda: JOBS.expected(JOBS(reader, *values_of(wildcards))).to_json()
            )
        return ""

    return dict(
        settings=lambda wildcards: without_secrets(JOBS.settings(reader, *values_of(wildcards))),
        made=made,
    )


ORDER_OF_WILDCARDS = (
    "dataset", "split", "feature_set", "backbone", "text_embedding", "model", "seed", "candidate",
    "shard", "applied",
)  # fmt: skip
# Snakemake's linter takes a text that begins with a slash for an absolute path.
CLIPS_OPTION = (
    " --clips {input.clips:q}/{wildcards.shard}.csv" if IS_SHARED else " --clips {input.clips:q}"
)
MADE_OPTION = " --made {params.made:q}" if IS_SHARED else ""
TRAINING_OPTIONS = (
    "--split {input.split:q} --labels {input.labels:q} --video {input.video:q} --audio {input.audio:q}"
)
