rule import:
    input:
        **inputs_of("import", clips=clip_lists),
        folders=lambda wildcards: external_inputs(
            layout.stage_folders,
            CONFIG.imported[wildcards.backbone].path,
            CONFIG.imported[wildcards.backbone].modality,
        ),
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
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca import --settings {params.settings:q}"
        f"{CLIPS_OPTION}"
        " --out {output:q} --log {log:q}"
        f"{MADE_OPTION}"
