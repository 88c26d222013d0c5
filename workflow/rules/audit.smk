rule audit:
    input:
        rows=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        fetched=lambda wildcards: [
            f"{RESULTS}/{wildcards.dataset}/fetched/{shard}.csv"
            for shard in (shards(wildcards.dataset) if CONFIG.needs_media() else [])
        ],
        features=lambda wildcards: [
            path
            for backbone in CONFIG.used_backbones()
            for path in features_of(wildcards.dataset, backbone)
        ],
        labels=expand(
            f"{RESULTS}/{{{{dataset}}}}/labels/{{text_embedding}}.h5",
            text_embedding=CONFIG.experiment.text_embeddings,
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
