rule export:
    input:
        **training_inputs("export"),
    output:
        directory(f"{RESULTS}/{{dataset}}/official/{{split}}/{{feature_set}}/{{text_embedding}}"),
    params:
        **params_of("export"),
    log:
        f"{LOGS}/export/{{split}}/{{feature_set}}/{{text_embedding}}.log",
    benchmark:
        f"{BENCHMARKS}/export/{{split}}/{{feature_set}}/{{text_embedding}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca export --settings {{params.settings:q}} {TRAINING_OPTIONS}"
        " --out {output:q} --log {log:q}"
        f"{MADE_OPTION}"
