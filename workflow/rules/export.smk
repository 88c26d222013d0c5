rule export:
    input:
        split=f"{RESULTS}/{{dataset}}/splits/{{split}}.csv",
        labels=f"{RESULTS}/{{dataset}}/labels/{{text_embedding}}.h5",
        video=features_in_set("video"),
        audio=features_in_set("audio"),
    output:
        directory(f"{RESULTS}/{{dataset}}/official/{{split}}/{{feature_set}}/{{text_embedding}}"),
    params:
        settings=lambda wildcards: settings("export", wildcards.split, dataset=wildcards.dataset),
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
