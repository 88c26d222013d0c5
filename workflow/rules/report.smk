rule report:
    input:
        **reads(
            "report",
            scores=run_files("scores.json"),
            embeddings=run_files("embeddings.h5"),
            histories=[
                f"{RESULTS}/{run.path}/stage1/{candidate}/history.json"
                for run in CONFIG.runs()
                for candidate in CONFIG.candidates[run.model]
            ],
            audits=[
                f"{RESULTS}/{dataset}/splits/{split}.audit.json"
                for dataset, split in CONFIG.used_splits()
            ],
            data_audits=[
                f"{RESULTS}/{dataset}/audits/{split}.json"
                for dataset, split in CONFIG.used_splits()
            ],
            manifests=[f"{RESULTS}/{name}/manifest.csv" for name in CONFIG.used("datasets")],
            fetched=[path for name in CONFIG.with_media() for path in fetched(name)],
            # The name of the first shard says how many there are.
            first_fetched=[fetched(name)[0] for name in CONFIG.with_media()],
            features=[features_of(*names) for names in CONFIG.used_features()],
        ),
    output:
        page=report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Results"
        ),
        table=report(f"{RESULTS}/table.csv", caption="../report/table.rst", category="Results"),
    params:
        **asked("report"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca report --scores {input.scores:q} --embeddings {input.embeddings:q}"
        " --histories {input.histories:q} --audits {input.audits:q}"
        " --data-audits {input.data_audits:q} --manifests {input.manifests:q}"
        " --fetched {input.first_fetched:q} --features {input.features:q}"
        " --out {output.page:q} --table {output.table:q} --log {log:q}"
        f"{MADE}"
