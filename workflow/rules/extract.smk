rule extract:
    input:
        clips=shard_list,
        fetched=f"{RESULTS}/{{dataset}}/fetched/{{shard}}.csv",
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}/{{shard}}.h5",
    wildcard_constraints:
        backbone=one_of(CONFIG.backbones),
    params:
        settings=lambda wildcards: settings("extract", wildcards.backbone),
    log:
        f"{LOGS}/extract/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/extract/{{backbone}}/{{shard}}.tsv"
    threads: ALL_CORES
    resources:
        gpu=1,
        # No parameter: where downloads are kept changes no result.
        weights_cache=CONFIG.cache,
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca extract --settings {params.settings:q} --clips {input.clips:q}"
        " --fetched {input.fetched:q} --out {output:q} --cache {resources.weights_cache:q}"
        " --threads {threads} --log {log:q}"
