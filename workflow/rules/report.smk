rule report:
    input:
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
            f"{RESULTS}/{dataset}/audits/{split}.json" for dataset, split in CONFIG.used_splits()
        ],
        manifests=expand(f"{RESULTS}/{{dataset}}/manifest.csv", dataset=CONFIG.used("datasets")),
        fetched=[
            f"{RESULTS}/{dataset}/fetched/{shard}.csv"
            for dataset in CONFIG.with_media()
            for shard in shards(dataset)
        ],
        features=[
            path
            for dataset, backbone in CONFIG.used_features()
            for path in shards_of_features(dataset, backbone)
        ],
    output:
        page=report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Results"
        ),
        table=report(f"{RESULTS}/table.csv", caption="../report/table.rst", category="Results"),
    params:
        settings=settings("report"),
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
        " --fetched {input.fetched:q} --features {input.features:q}"
        " --out {output.page:q} --table {output.table:q} --log {log:q}"
