# Takes all cores although it needs one: a dataset that cannot be split is found out before the
# first clip is fetched.
rule split:
    input:
        **inputs_of("split", clips=clip_table),
        lists=lambda wildcards: external_inputs(
            CONFIG.splits[wildcards.split].module.inputs, CONFIG.splits[wildcards.split].settings
        ),
        pretraining=lambda wildcards: external_inputs(CONFIG.pretraining_lists, wildcards.split),
    output:
        table=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        audit=f"{RESULTS}/{{dataset}}/splits/{{split}}.audit.json",
    params:
        **params_of("split"),
    log:
        f"{LOGS}/split/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/split/{{split}}.tsv"
    priority: 20
    threads: all_cores
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca split --settings {params.settings:q} --clips {input.clips:q}"
        " --out {output.table:q} --audit {output.audit:q} --log {log:q}"
        f"{MADE_OPTION}"
