"""Whole runs as one job, with `runs_per_job` in the config, on one machine.

Such a job runs the commands of the other rules in processes that share what they import. Its rule
has no wildcards, so Snakemake prefers it to those rules. There is none on a cluster, nor where another
workflow imports this one: each training is a job there.
"""

import itertools
import operator
import shlex

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.planning.requests import names_of

WILDCARDS_OF_RUN = ("dataset", "split", "feature_set", "text_embedding", "model", "seed")
COMMANDS_OF_GROUPS = Path(RESULTS, records.FOLDER, ".together")


def groups_of_runs():
    """Returns the runs of each job that trains several; none where each training is a job."""
    is_one_machine = IS_SHARED and is_main_process() and not runs_on_a_cluster()
    if CONFIG.runs_per_job == 1 or not is_one_machine or is_given_a_config():
        return []
    problem = operator.attrgetter("dataset", "split", "feature_set", "text_embedding")
    size, found = CONFIG.runs_per_job, []
    for _, runs in itertools.groupby(sorted(CONFIG.runs(), key=problem), key=problem):
        runs = list(runs)
        found += [tuple(runs[begin : begin + size]) for begin in range(0, len(runs), size)]
    return found


def jobs_of_run(run):
    """Yields rule, wildcards and needed earlier jobs, as numbers within the run, of each job."""
    names = dict(zip(WILDCARDS_OF_RUN, names_of(run)))
    candidates = list(CONFIG.candidates(run))
    for candidate in candidates:
        yield "train_stage1", names | {"candidate": candidate}, []
    last = len(candidates)
    yield "select", names, list(range(last))
    yield "train_stage2", names, [last]
    yield "evaluate", names, [last + 1]


def jobs_of_group(runs):
    """Returns the same for several runs, with numbers within the group."""
    found = []
    for run in runs:
        first = len(found)
        for rule_name, names, after in jobs_of_run(run):
            found.append((rule_name, names, [first + number for number in after]))
    return found


def results_of_group(runs):
    """Returns the paths of what all jobs of several runs make, within the results."""
    return [
        path
        for rule_name, names, _ in jobs_of_group(runs)
        for path in JOBS(rule_name, *names.values()).outputs
    ]


def outputs_of(rule_name, names):
    """Returns the files that one job makes."""
    return [path.format(**names) for path in getattr(rules, rule_name).output]


class Names(dict):
    """The wildcards of a job, which functions of the rules take as attributes or as a mapping."""

    def __getattr__(self, name):
        if name in self:
            return self[name]
        raise AttributeError(name)


class Files(list):
    """Files as a shell command names them: all of them, or each by its name."""


def files_by_name(named):
    """Returns files of which each name stands for one or for several."""
    files = Files(itertools.chain.from_iterable(named.values()))
    for name, paths in named.items():
        setattr(files, name, paths)
    return files


def arguments_of(rule_name, names):
    """Returns what the shell command of one job gives to ``avca``."""
    own = getattr(rules, rule_name)
    reader = JOBS(rule_name, *names.values())
    inputs = {"video": [], "audio": []} | {
        option: [f"{RESULTS}/{file.path}" for file in files]
        for option, files in reader.inputs.items()
    }
    made = params_of(rule_name)
    wildcards = Names(names)
    params = {name: find(wildcards) for name, find in made.items()}
    for name, pattern in own.params.items():
        if isinstance(pattern, str):
            params[name] = pattern.format(**names)
    outputs = Files(outputs_of(rule_name, names))
    for name, path in own.output.items():
        setattr(outputs, name, path.format(**names))
    line = shell_command_of(
        rule_name,
        input=files_by_name(inputs),
        output=outputs,
        params=Names(params),
        log=[path.format(**names) for path in own.log],
        threads=1,
        resources=Names(jobs_per_gpu=CONFIG.jobs_per_gpu),
        wildcards=wildcards,
    )
    _, program, *arguments = shlex.split(line)
    assert program == "avca", line
    return arguments


@functools.cache
def commands_of_group(runs):
    """Returns all commands of a group of runs, as `avca_pipeline.cli.together` reads them."""
    commands = [
        {"arguments": arguments_of(rule_name, names), "after": after}
        for rule_name, names, after in jobs_of_group(runs)
    ]
    return canonical_json({"format_version": 1, "commands": commands})


def made_of_group(runs):
    """Returns a digest that changes when a result of the group has to be made from something else."""
    made = [
        params_of(rule_name)["made"](Names(names)) for rule_name, names, _ in jobs_of_group(runs)
    ]
    return records.digest_of_text(canonical_json(made))


def inputs_of_group(runs):
    """Returns a function of the wildcards, which are none: what the jobs of a group read."""
    run = runs[0]
    names = dict(zip(WILDCARDS_OF_RUN, names_of(run)))
    patterns = training_inputs("evaluate") | passed_audit()

    def paths(_):
        wildcards = Names(names)
        listed = [
            pattern(wildcards) if callable(pattern) else ancient(pattern.format(**names))
            for pattern in patterns.values()
        ]
        listed = [path for path in listed if path]
        if all(is_up_to_date(job, *names.values()) for job, names, _ in jobs_of_group(runs)):
            return [ancient(path) for path in listed]
        return listed

    return paths


def processes_of_a_group():
    """Returns how many commands of a group run at a time: one on each core, or on each GPU place."""
    cores = cores_of_this_run() or 1
    return min(cores, GPU_PLACES) if GPU_PLACES else cores


def results_to_keep():
    """Returns the results that a job is told to make but perhaps need not: see `records.keep`."""
    if not GROUPS and not COMMANDS_OF_GROUPS.exists():
        return stale().perhaps
    made = {path for path in results_of_group(CONFIG.runs()) if Path(RESULTS, path).exists()}
    return stale().perhaps | (made - stale().paths)


def write_commands_of_groups():
    """Writes what the jobs of several runs are told to do, which is too long for a command."""
    for name, runs in GROUPS.items():
        with atomic_write(COMMANDS_OF_GROUPS / f"{name}.json") as temporary:
            temporary.write_text(commands_of_group(runs), encoding="utf-8")


GROUPS = {f"runs_{number}": runs for number, runs in enumerate(groups_of_runs())}

for NAME_OF_GROUP, RUNS_OF_GROUP in GROUPS.items():

    rule:
        name:
            NAME_OF_GROUP
        input:
            inputs_of_group(RUNS_OF_GROUP),
        output:
            [
                path
                for rule_name, names, _ in jobs_of_group(RUNS_OF_GROUP)
                for path in outputs_of(rule_name, names)
            ],
        params:
            made=functools.partial(
                lambda runs, wildcards: made_of_group(runs), RUNS_OF_GROUP
            ),
        log:
            f"{RESULTS}/logs/together/{NAME_OF_GROUP}.log",
        benchmark:
            f"{RESULTS}/benchmarks/together/{NAME_OF_GROUP}.tsv"
        threads: all_cores
        resources:
            gpu=max(1, GPU_PLACES),
            # No parameters: how many commands run at a time changes no result.
            commands=str(COMMANDS_OF_GROUPS / f"{NAME_OF_GROUP}.json"),
            processes=processes_of_a_group(),
        conda:
            "../../envs/avca.yaml"
        shell:
            "exec python -m avca_pipeline.cli.together {resources.commands:q}"
            " --processes {resources.processes} --log {log:q}"
