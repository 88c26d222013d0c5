rule apply:
    input:
        **inputs_of(
            "apply",
            clips=clip_table,
            fetched=lambda wildcards: fetched_tables(wildcards.dataset),
            # The command finds the others beside it; naming all would make it too long.
            first_fetched=lambda wildcards: fetched_tables(wildcards.dataset)[:1],
            video=read_by_apply("video"),
            audio=read_by_apply("audio"),
            scores=read_by_apply("scores"),
            checkpoint=read_by_apply("checkpoint"),
            labels=read_by_apply("labels"),
            split=read_by_apply("split"),
            trained_on=read_by_apply("trained_on"),
        ),
        outside=lambda wildcards: external_inputs(
            applied_entries.files_of, CONFIG, wildcards.applied
        ),
    output:
        f"{RESULTS}/{{dataset}}/predictions/{{applied}}.csv",
    wildcard_constraints:
        applied=alternatives(CONFIG.apply),
    params:
        **params_of("apply"),
    log:
        f"{LOGS}/apply/{{applied}}.log",
    benchmark:
        f"{BENCHMARKS}/apply/{{applied}}.tsv"
    threads: 1
    resources:
        gpu=1,
        jobs_per_gpu=CONFIG.jobs_per_gpu,
        # No parameter: where downloads are kept changes no result.
        weights_cache=CONFIG.cache,
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca apply --settings {params.settings:q} --clips {input.clips:q}"
        " --fetched {input.first_fetched:q} --video {input.video:q} --audio {input.audio:q}"
        " --scores {input.scores:q} --checkpoint {input.checkpoint:q} --labels {input.labels:q}"
        " --split {input.split:q} --trained-on {input.trained_on:q}"
        " --out {output:q} --cache {resources.weights_cache:q}"
        " --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu} --log {log:q}"
        f"{MADE_OPTION}"
