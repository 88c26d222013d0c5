rule report:
    input:
        scores=run_files("scores.json"),
        embeddings=run_files("embeddings.h5"),
        histories=[
            f"{RESULTS}/{run.path}/stage1/{candidate}/history.json"
            for run in CONFIG.runs()
            for candidate in CONFIG.candidates[run.model]
        ],
        audits=expand(
            f"{RESULTS}/{{dataset}}/splits/{{split}}.audit.json",
            dataset=CONFIG.experiment.datasets,
            split=CONFIG.experiment.splits,
        ),
        data_audits=expand(
            f"{RESULTS}/{{dataset}}/audits/{{split}}.json",
            dataset=CONFIG.experiment.datasets,
            split=CONFIG.experiment.splits,
        ),
        manifests=expand(f"{RESULTS}/{{dataset}}/manifest.csv", dataset=CONFIG.experiment.datasets),
        fetched=shard_files("fetched") if CONFIG.needs_media() else [],
        features=[
            path
            for dataset in CONFIG.experiment.datasets
            for backbone in CONFIG.used_backbones()
            for path in features_of(dataset, backbone)
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
