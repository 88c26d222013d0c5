"""What single rules read, where that takes more than a line to say."""


def losses_of(dataset):
    """Returns the option on how many clips may be without features: all that are only classified."""
    if CONFIG.applied_to(dataset) and all(run.dataset != dataset for run in CONFIG.runs()):
        return "--may-be-empty"
    return f"--max-missing {CONFIG.datasets[dataset].max_missing}"


def read_by_apply(option):
    """Returns a function of the wildcards: what an entry under `apply` reads with an option.

    Nothing for an option of its that it does not need: a bundle has all that a run has left.
    """

    def paths(wildcards):
        found = {
            modality: features_of(wildcards.dataset, name)
            for modality, name in CONFIG.features_of_applied(wildcards.applied).items()
        }
        run = CONFIG.run_of_applied(wildcards.applied)
        if run is not None:
            found |= {
                "scores": f"{RESULTS}/{run.path}/scores.json",
                "checkpoint": f"{RESULTS}/{run.path}/stage2.pt",
                "labels": f"{RESULTS}/{run.dataset}/labels/{run.text_embedding}.h5",
            }
            if applied_entries.looks_at_training_clips(CONFIG, run):
                names = CONFIG.feature_sets[run.feature_set].names.values()
                found["split"] = f"{RESULTS}/{run.dataset}/splits/{run.split}.csv"
                found["trained_on"] = [features_of(run.dataset, name) for name in names]
        return found.get(option, [])

    return paths


def all_predictions():
    """Returns all tables of predictions; stops where the config asks for none."""
    if not CONFIG.apply:
        raise PipelineError(
            "apply: is missing; name what classifies which clips, as docs/classify.md shows"
        )
    return [predictions_of(name) for name in CONFIG.apply]


REPORTED = JOBS.request.report()


def scores_of_all_runs():
    """Returns the scores of each run; stops where there is nothing to report on."""
    if not CONFIG.experiment and not CONFIG.apply:
        raise PipelineError(
            "experiment: is missing; without one only the target features can be made, as in "
            "'avca run config.yaml features': name it, or add the sections that 'avca init' writes"
        )
    return run_files("scores.json")


def found_files(wildcards):
    """Returns what other configs have made: no rule of this config makes it, so it is no input."""
    listed = {
        option: [f"{RESULTS}/{file.path}" for file in files]
        for option, files in JOBS.found().files().items()
    }
    listed["first_fetched"] = [
        f"{RESULTS}/{part.dataset}/fetched/{shard_names(part.num_shards)[0]}.csv"
        for part in REPORTED.found_datasets
        if part.num_shards
    ]
    return listed
