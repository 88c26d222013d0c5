checkpoint manifest:
    input:
        lambda wildcards: own_files(
            CONFIG.datasets[wildcards.dataset].module.inputs,
            CONFIG.datasets[wildcards.dataset].settings,
        ),
    output:
        manifest=f"{RESULTS}/{{dataset}}/manifest.csv",
        shards=directory(f"{RESULTS}/{{dataset}}/shards"),
    params:
        settings=lambda wildcards: settings(
            "manifest", wildcards.dataset, num_shards=CONFIG.num_shards[wildcards.dataset]
        ),
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
