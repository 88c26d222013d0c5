rule fetch:
    input:
        **reads("fetch", clips=clips),
    output:
        table=f"{RESULTS}/{{dataset}}/fetched/{{shard}}.csv",
        **MEDIA,
    params:
        **asked("fetch"),
        raw=f"{RESULTS}/{{dataset}}/raw",
    log:
        f"{LOGS}/fetch/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/fetch/{{shard}}.tsv"
    threads: 1
    resources:
        # No parameter: how clips are downloaded changes no result.
        download=showable(CONFIG.download.model_dump_json()),
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca fetch --settings {params.settings:q}"
        f"{CLIPS}"
        " --raw {params.raw:q}"
        f" --out {'{output.table:q} --pack {output.media:q}' if MEDIA else '{output:q}'}"
        " --download {resources.download:q} --log {log:q}"
        f"{MADE}"
