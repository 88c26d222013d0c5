rule audit:
    input:
        **inputs_of(
            "audit",
            split=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
            fetched=lambda wildcards: fetched_tables(wildcards.dataset),
            # The command finds the others beside it; naming all would make it too long.
            first_fetched=lambda wildcards: fetched_tables(wildcards.dataset)[:1],
            features=lambda wildcards: [
                features_of(wildcards.dataset, name)
                for name in CONFIG.used_features_of_split(wildcards.split, wildcards.dataset)
            ],
            labels=lambda wildcards: [
                f"{RESULTS}/{wildcards.dataset}/labels/{name}.h5"
                for name in CONFIG.used_text_embeddings_of_split(wildcards.split, wildcards.dataset)
            ],
        ),
    output:
        f"{RESULTS}/{{dataset}}/audits/{{split}}.json",
    params:
        **params_of("audit"),
    log:
        f"{LOGS}/audit/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/audit/{{split}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca audit --settings {params.settings:q} --split {input.split:q}"
        " --fetched {input.first_fetched:q} --features {input.features:q} --labels {input.labels:q}"
        " --out {output:q} --log {log:q}"
        f"{MADE_OPTION}"
