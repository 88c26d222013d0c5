rule embed:
    input:
        **reads("embed", clips=manifest),
    output:
        f"{RESULTS}/{{dataset}}/labels/{{text_embedding}}.h5",
    params:
        **asked("embed"),
    log:
        f"{LOGS}/embed/{{text_embedding}}.log",
    benchmark:
        f"{BENCHMARKS}/embed/{{text_embedding}}.tsv"
    priority: 10
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca embed --settings {params.settings:q} --clips {input.clips:q}"
        " --out {output:q} --log {log:q}"
        f"{MADE}"
