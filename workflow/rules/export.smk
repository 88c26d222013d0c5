rule export:
    input:
        **problem("export"),
    output:
        directory(f"{RESULTS}/{{dataset}}/official/{{split}}/{{feature_set}}/{{text_embedding}}"),
    params:
        **asked("export"),
    log:
        f"{LOGS}/export/{{split}}/{{feature_set}}/{{text_embedding}}.log",
    benchmark:
        f"{BENCHMARKS}/export/{{split}}/{{feature_set}}/{{text_embedding}}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca export --settings {{params.settings:q}} {PROBLEM_OPTIONS}"
        " --out {output:q} --log {log:q}"
        f"{MADE}"
