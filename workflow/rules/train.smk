# One thread: the step is made of small operations, and jobs run beside each other.
rule train_stage1:
    input:
        **problem("train_stage1"),
        **audited(),
    output:
        checkpoint=f"{RUN}/stage1/{{candidate}}/checkpoint.pt",
        history=f"{RUN}/stage1/{{candidate}}/history.json",
    params:
        **asked("train_stage1"),
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
        f"exec avca train --stage 1 --settings {{params.settings:q}} {PROBLEM_OPTIONS}"
        " --out {output.checkpoint:q} --history {output.history:q} --resume {params.resume:q}"
        " --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu} --log {log:q}"
        f"{MADE}"


rule train_stage2:
    input:
        **problem("train_stage2", selection=f"{RUN}/selection.json"),
        **audited(),
    output:
        checkpoint=f"{RUN}/stage2.pt",
        history=f"{RUN}/stage2.history.json",
    params:
        **asked("train_stage2"),
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
        f"exec avca train --stage 2 --settings {{params.settings:q}} {PROBLEM_OPTIONS}"
        " --selection {input.selection:q} --out {output.checkpoint:q} --history {output.history:q}"
        " --resume {params.resume:q} --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu}"
        " --log {log:q}"
        f"{MADE}"
