rule import:
    input:
        **reads("import", clips=clips),
        folders=lambda wildcards: own_files(
            layout.stage_folders,
            CONFIG.imported[wildcards.backbone].path,
            CONFIG.imported[wildcards.backbone].modality,
        ),
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}/{{shard}}.h5",
    wildcard_constraints:
        backbone=one_of(CONFIG.imported),
    params:
        **asked("import"),
    log:
        f"{LOGS}/import/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/import/{{backbone}}/{{shard}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca import --settings {params.settings:q}"
        f"{CLIPS}"
        " --out {output:q} --log {log:q}"
        f"{MADE}"
