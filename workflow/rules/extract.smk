rule extract:
    input:
        **inputs_of(
            "extract",
            clips=clip_lists,
            fetched=f"{RESULTS}/{{dataset}}/fetched/{{shard}}.csv",
            **PACKED_MEDIA,
        ),
    output:
        f"{RESULTS}/{{dataset}}/features/{{backbone}}/{{shard}}.h5",
    wildcard_constraints:
        backbone=alternatives(CONFIG.backbones),
    params:
        **params_of("extract"),
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
        f"{CLIPS_OPTION}"
        " --fetched {input.fetched:q} --out {output:q} --cache {resources.weights_cache:q}"
        f"{' --media {input.media:q}' if PACKED_MEDIA else ''}"
        " --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu} --log {log:q}"
        f"{MADE_OPTION}"
