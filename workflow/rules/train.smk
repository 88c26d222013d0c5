# One thread: the step is made of small operations, and jobs run beside each other.
rule train_stage1:
    input:
        **problem(),
    output:
        checkpoint=f"{RUN}/stage1/{{candidate}}/checkpoint.pt",
        history=f"{RUN}/stage1/{{candidate}}/history.json",
    params:
        settings=lambda wildcards: train_settings(wildcards, candidate=wildcards.candidate),
        resume=f"{RUN}/resume/stage1-{{candidate}}.pt",
    log:
        f"{LOGS}/train/{RUN_NAME}/stage1-{{candidate}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{RUN_NAME}/stage1-{{candidate}}.tsv"
    threads: 1
    resources:
        gpu=1,
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca train --stage 1 --settings {{params.settings:q}} {PROBLEM_OPTIONS}"
        " --out {output.checkpoint:q} --history {output.history:q} --resume {params.resume:q}"
        " --threads {threads} --log {log:q}"


rule train_stage2:
    input:
        **problem(selection=f"{RUN}/selection.json"),
    output:
        checkpoint=f"{RUN}/stage2.pt",
        history=f"{RUN}/stage2.history.json",
    params:
        settings=lambda wildcards: train_settings(wildcards),
        resume=f"{RUN}/resume/stage2.pt",
    log:
        f"{LOGS}/train/{RUN_NAME}/stage2.log",
    benchmark:
        f"{BENCHMARKS}/train/{RUN_NAME}/stage2.tsv"
    threads: 1
    resources:
        gpu=1,
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca train --stage 2 --settings {{params.settings:q}} {PROBLEM_OPTIONS}"
        " --selection {input.selection:q} --out {output.checkpoint:q} --history {output.history:q}"
        " --resume {params.resume:q} --threads {threads} --log {log:q}"
