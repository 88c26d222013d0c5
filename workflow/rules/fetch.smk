rule fetch:
    input:
        clips=shard_list,
    output:
        table=f"{RESULTS}/{{dataset}}/fetched/{{shard}}.csv",
        **MEDIA,
    params:
        settings=lambda wildcards: settings("fetch", wildcards.dataset),
        raw=f"{RESULTS}/{{dataset}}/raw",
        # What did not come for now is tried again: the stage counts its runs in which there was any.
        tries=tries_before,
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
        "exec avca fetch --settings {params.settings:q} --clips {input.clips:q} --raw {params.raw:q}"
        f" --out {'{output.table:q} --pack {output.media:q}' if MEDIA else '{output:q}'}"
        " --download {resources.download:q} --log {log:q}"
