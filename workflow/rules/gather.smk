rule gather:
    input:
        lambda wildcards: shards_of_features(wildcards.dataset, wildcards.backbone),
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}.h5",
    params:
        settings=settings("gather"),
    log:
        f"{LOGS}/gather/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/gather/{{backbone}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca gather --features {input:q} --out {output:q} --log {log:q}"
