rule audit:
    input:
        rows=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        fetched=lambda wildcards: [
            f"{RESULTS}/{wildcards.dataset}/fetched/{shard}.csv"
            for shard in shards(wildcards.dataset)
            if wildcards.dataset in CONFIG.with_media()
        ],
        features=lambda wildcards: [
            path
            for name in CONFIG.used_with(wildcards.split, wildcards.dataset)
            for path in shards_of_features(wildcards.dataset, name)
        ],
        labels=lambda wildcards: [
            f"{RESULTS}/{wildcards.dataset}/labels/{text_embedding}.h5"
            for text_embedding in CONFIG.text_embeddings_with(wildcards.split, wildcards.dataset)
        ],
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
