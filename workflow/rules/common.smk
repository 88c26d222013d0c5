"""What the rules share: the typed config, and where files are."""

import json
import os
import re
import shutil
import sys
from os import environ
from pathlib import Path

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from avca_pipeline import config as avca_config
from avca_pipeline import gpus, locks, sealing, slurm
from avca_pipeline.artifacts.manifest import shard_names
from avca_pipeline.errors import PipelineError
from avca_pipeline.official import layout
from avca_pipeline.stages import VERSIONS, check

# `avca` is installed beside this Python; a conda environment, where one is used, comes before it.
environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environ["PATH"]


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


def settings(stage, name="", **more):
    """Returns the part of the config that a stage's result depends on; with its version, a key."""
    return showable(avca_config.settings_of(CONFIG, stage, name, version=VERSIONS[stage], **more))


def showable(text):
    """Returns JSON that may stand in a log; jobs find what is left out in their environment."""
    value, secrets = sealing.sealed(json.loads(text))
    environ.update(secrets)
    return avca_config.canonical(value)


def own_files(find, *arguments):
    """Returns inputs that no rule makes and the config names.

    They are where Snakemake runs. Where no file system is shared it runs the jobs that read them
    itself, because they are marked as local; a job elsewhere must not look for them.
    """
    if IS_SHARED or workflow.is_main_process:
        return local(stop_on_user_errors(find, *arguments))
    return []


def one_of(names):
    """Returns a pattern for one of these names; for none of anything if there are no names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def shards(dataset):
    return shard_names(CONFIG.num_shards[dataset])


def manifest(wildcards):
    return checkpoints.manifest.get(dataset=wildcards.dataset).output.manifest


def shard_list(wildcards):
    # Not made of the checkpoint's output: in object storage that is the path of a local copy.
    checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"{RESULTS}/{wildcards.dataset}/shards/{wildcards.shard}.csv"


def tries_before(wildcards):
    """Returns in how many runs trouble that passes has kept clips of a shard away."""
    path = Path(RESULTS, wildcards.dataset, "fetched", f"{wildcards.shard}.tries")
    return path.read_text().strip() if path.is_file() else "0"


def shards_of_features(dataset, backbone):
    return [f"{RESULTS}/{dataset}/features/{backbone}/{shard}.h5" for shard in shards(dataset)]


def features_of(dataset, backbone):
    return f"{RESULTS}/{dataset}/features/{backbone}.h5"


def features_in_set(modality):
    def path(wildcards):
        backbone = getattr(CONFIG.feature_sets[wildcards.feature_set], modality)
        return features_of(wildcards.dataset, backbone)

    return path


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
