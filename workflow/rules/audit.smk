rule audit:
    input:
        rows=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        fetched=lambda wildcards: [
            f"{RESULTS}/{wildcards.dataset}/fetched/{shard}.csv"
            for shard in (shards(wildcards.dataset) if wildcards.dataset in CONFIG.with_media() else [])
        ],
        features=lambda wildcards: [
            path
            for dataset, backbone in CONFIG.used_features(wildcards.split)
            if dataset == wildcards.dataset
            for path in features_of(dataset, backbone)
        ],
        labels=lambda wildcards: sorted(
            {
                f"{RESULTS}/{run.dataset}/labels/{run.text_embedding}.h5"
                for run in CONFIG.runs()
                if (run.dataset, run.split) == (wildcards.dataset, wildcards.split)
            }
        ),
    output:
        f"{RESULTS}/{{dataset}}/audits/{{split}}.json",
    params:
        settings=lambda wildcards: settings("audit", wildcards.split, dataset=wildcards.dataset),
    log:
        f"{LOGS}/audit/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/audit/{{split}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca audit --settings {params.settings:q} --split {input.rows:q}"
        " --fetched {input.fetched:q} --features {input.features:q} --labels {input.labels:q}"
        " --out {output:q} --log {log:q}"
