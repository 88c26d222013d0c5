checkpoint manifest:
    input:
        lambda wildcards: external_inputs(
            CONFIG.datasets[wildcards.dataset].module.inputs,
            CONFIG.datasets[wildcards.dataset].settings,
        ),
    output:
        manifest=f"{RESULTS}/{{dataset}}/manifest.csv",
        shards=directory(f"{RESULTS}/{{dataset}}/shards"),
    params:
        **params_of("manifest"),
    log:
        f"{LOGS}/manifest.log",
    benchmark:
        f"{BENCHMARKS}/manifest.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca manifest --settings {params.settings:q} --out {output.manifest:q}"
        " --shards {output.shards:q} --log {log:q}"
        f"{MADE_OPTION}"
