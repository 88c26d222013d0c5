rule embed:
    input:
        **inputs_of("embed", clips=clip_table),
        vectors=lambda wildcards: external_inputs(
            CONFIG.text_embeddings[wildcards.text_embedding].module.inputs,
            CONFIG.text_embeddings[wildcards.text_embedding].settings,
        ),
    output:
        f"{RESULTS}/{{dataset}}/labels/{{text_embedding}}.h5",
    params:
        **params_of("embed"),
    log:
        f"{LOGS}/embed/{{text_embedding}}.log",
    benchmark:
        f"{BENCHMARKS}/embed/{{text_embedding}}.tsv"
    priority: 10
    threads: 1
    resources:
        # No parameter: where downloads are kept changes no result.
        weights_cache=CONFIG.cache,
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca embed --settings {params.settings:q} --clips {input.clips:q}"
        " --out {output:q} --cache {resources.weights_cache:q} --log {log:q}"
        f"{MADE_OPTION}"
