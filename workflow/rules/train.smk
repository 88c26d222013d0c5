# One thread: the step is made of small operations, and jobs run beside each other.
rule train_stage1:
    input:
        **training_inputs("train_stage1"),
        **passed_audit(),
    output:
        checkpoint=f"{RUN}/stage1/{{candidate}}/checkpoint.pt",
        history=f"{RUN}/stage1/{{candidate}}/history.json",
    params:
        **params_of("train_stage1"),
        resume=f"{RUN}/resume/stage1-{{candidate}}.pt",
    log:
        f"{LOGS}/train/{RUN_NAME}/stage1-{{candidate}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{RUN_NAME}/stage1-{{candidate}}.tsv"
    threads: 1
    resources:
        gpu=1,
        jobs_per_gpu=CONFIG.jobs_per_gpu,
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca train --stage 1 --settings {{params.settings:q}} {TRAINING_OPTIONS}"
        " --out {output.checkpoint:q} --history {output.history:q} --resume {params.resume:q}"
        " --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu} --log {log:q}"
        f"{MADE_OPTION}"


rule train_stage2:
    input:
        **training_inputs("train_stage2", selection=f"{RUN}/selection.json"),
        **passed_audit(),
    output:
        checkpoint=f"{RUN}/stage2.pt",
        history=f"{RUN}/stage2.history.json",
    params:
        **params_of("train_stage2"),
        resume=f"{RUN}/resume/stage2.pt",
    log:
        f"{LOGS}/train/{RUN_NAME}/stage2.log",
    benchmark:
        f"{BENCHMARKS}/train/{RUN_NAME}/stage2.tsv"
    threads: 1
    resources:
        gpu=1,
        jobs_per_gpu=CONFIG.jobs_per_gpu,
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca train --stage 2 --settings {{params.settings:q}} {TRAINING_OPTIONS}"
        " --selection {input.selection:q} --out {output.checkpoint:q} --history {output.history:q}"
        " --resume {params.resume:q} --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu}"
        " --log {log:q}"
        f"{MADE_OPTION}"
