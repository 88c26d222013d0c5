rule fetch:
    input:
        **inputs_of("fetch", clips=clip_lists),
    output:
        table=f"{RESULTS}/{{dataset}}/fetched/{{shard}}.csv",
        **PACKED_MEDIA,
    params:
        **params_of("fetch"),
        raw=f"{RESULTS}/{{dataset}}/raw",
    log:
        f"{LOGS}/fetch/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/fetch/{{shard}}.tsv"
    threads: 1
    resources:
        # No parameter: how clips are downloaded changes no result.
        download=without_secrets(CONFIG.download.model_dump_json()),
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca fetch --settings {params.settings:q}"
        f"{CLIPS_OPTION}"
        " --raw {params.raw:q}"
        f" --out {'{output.table:q} --pack {output.media:q}' if PACKED_MEDIA else '{output:q}'}"
        " --download {resources.download:q} --log {log:q}"
        f"{MADE_OPTION}"
