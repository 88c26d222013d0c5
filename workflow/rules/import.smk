rule import:
    input:
        clips=shard_list,
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
        settings=lambda wildcards: settings("import", wildcards.backbone),
    log:
        f"{LOGS}/import/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/import/{{backbone}}/{{shard}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca import --settings {params.settings:q} --clips {input.clips:q}"
        " --out {output:q} --log {log:q}"
