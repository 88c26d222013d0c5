rule select:
    input:
        **inputs_of(
            "select",
            histories=lambda wildcards: expand(
                f"{RUN}/stage1/{{candidate}}/history.json",
                candidate=JOBS.request.select(*values_of(wildcards)).candidates,
                **wildcards,
            ),
        ),
    output:
        f"{RUN}/selection.json",
    params:
        **params_of("select"),
    log:
        f"{LOGS}/select/{RUN_NAME}.log",
    benchmark:
        f"{BENCHMARKS}/select/{RUN_NAME}.tsv"
    threads: 1
    conda:
        "../../envs/avca.yaml"
    shell:
        "exec avca select --settings {params.settings:q} --histories {input.histories:q}"
        " --out {output:q} --log {log:q}"
        f"{MADE_OPTION}"
