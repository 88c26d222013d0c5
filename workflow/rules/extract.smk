rule extract:
    input:
        **reads(
            "extract", clips=clips, fetched=f"{RESULTS}/{{dataset}}/fetched/{{shard}}.csv", **MEDIA
        ),
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}/{{shard}}.h5",
    wildcard_constraints:
        backbone=one_of(CONFIG.backbones),
    params:
        **asked("extract"),
    log:
        f"{LOGS}/extract/{{backbone}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/extract/{{backbone}}/{{shard}}.tsv"
    # Jobs on different GPUs share the cores, which decode.
    threads: lambda wildcards: max(1, all_cores(wildcards) // max(1, GPU_PLACES))
    resources:
        gpu=1,
        jobs_per_gpu=CONFIG.jobs_per_gpu,
        # No parameter: where downloads are kept changes no result.
        weights_cache=CONFIG.cache,
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca extract --settings {params.settings:q}"
        f"{CLIPS}"
        " --fetched {input.fetched:q} --out {output:q} --cache {resources.weights_cache:q}"
        f"{' --media {input.media:q}' if MEDIA else ''}"
        " --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu} --log {log:q}"
        f"{MADE}"
