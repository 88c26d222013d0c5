rule gather:
    input:
        **inputs_of(
            "gather",
            features=lambda w: shards_of_features(w.dataset, w.backbone),
            fetched=lambda w: fetched_tables(w.dataset) if w.backbone in CONFIG.backbones else [],
            # The command finds the others beside it; naming all would make it too long.
            first_fetched=lambda w: (
                fetched_tables(w.dataset)[:1] if w.backbone in CONFIG.backbones else []
            ),
        ),
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}.h5",
    params:
        **params_of("gather"),
    log:
        f"{LOGS}/gather/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/gather/{{backbone}}.tsv"
    threads: 1
    resources:
        # No parameter: how many clips may be missing changes no feature.
        losses=lambda wildcards: losses_of(wildcards.dataset),
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca gather --settings {params.settings:q} --features {input.features[0]:q}"
        " --fetched {input.first_fetched:q} {resources.losses}"
        " --out {output:q} --log {log:q}"
        f"{MADE_OPTION}"
