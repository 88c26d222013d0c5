rule report:
    input:
        **inputs_of(
            "report",
            # All in the order in which the request has the names.
            scores=lambda wildcards: stop_on_user_errors(scores_of_all_runs),
            embeddings=run_files("embeddings.h5"),
            predictions=run_files("predictions.csv"),
            histories=[
                f"{RESULTS}/{reported.run.path}/stage1/{candidate}/history.json"
                for reported in REPORTED.runs
                for candidate in reported.candidates
            ],
            audits=[
                f"{RESULTS}/{part.dataset}/splits/{split}.audit.json"
                for part in REPORTED.datasets
                for split in part.splits
            ],
            data_audits=[
                f"{RESULTS}/{part.dataset}/audits/{split}.json"
                for part in REPORTED.datasets
                for split in part.splits
            ],
            manifests=[f"{RESULTS}/{part.dataset}/manifest.csv" for part in REPORTED.datasets],
            fetched=[path for part in REPORTED.datasets for path in fetched_tables(part.dataset)],
            # The command finds the others beside it; naming all would make it too long.
            first_fetched=[
                fetched_tables(part.dataset)[0] for part in REPORTED.datasets if part.num_shards
            ],
            features=[
                features_of(part.dataset, name)
                for part in REPORTED.datasets
                for name in part.features
            ],
            applied=[
                predictions_of(name) for part in REPORTED.datasets for name in part.applied
            ],
        ),
    output:
        page=report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Results"
        ),
        table=report(f"{RESULTS}/table.csv", caption="../report/table.rst", category="Results"),
        files=directory(f"{RESULTS}/report_files"),
    params:
        **params_of("report"),
        found=found_files,
        is_recorded=IS_SHARED,
        arguments=f"{RESULTS}/logs/report.arguments",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    script:
        "../scripts/report.py"
