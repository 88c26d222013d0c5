rule import:
    input:
        **inputs_of("import", clips=clip_lists),
        folders=lambda wildcards: external_inputs(CONFIG.imported[wildcards.backbone].files),
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}/{{shard}}.h5",
    wildcard_constraints:
        backbone=alternatives(CONFIG.imported),
    params:
        **params_of("import"),
    log:
        f"{LOGS}/import/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/import/{{backbone}}/{{shard}}.tsv"
    threads: 1
    resources:
        # No parameter: where downloads are kept changes no result.
        weights_cache=CONFIG.cache,
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca import --settings {params.settings:q}"
        f"{CLIPS_OPTION}"
        " --out {output:q} --cache {resources.weights_cache:q} --log {log:q}"
        f"{MADE_OPTION}"
