rule evaluate:
    input:
        **training_inputs(
            "evaluate", selection=f"{RUN}/selection.json", checkpoint=f"{RUN}/stage2.pt"
        ),
        **passed_audit(),
    output:
        scores=f"{RUN}/scores.json",
        embeddings=f"{RUN}/embeddings.h5",
        predictions=f"{RUN}/predictions.csv",
    params:
        **params_of("evaluate"),
    log:
        f"{LOGS}/evaluate/{RUN_NAME}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{RUN_NAME}.tsv"
    threads: 1
    resources:
        gpu=1,
        jobs_per_gpu=CONFIG.jobs_per_gpu,
    conda:
        "../../envs/avca.yaml"
    shell:
        f"exec avca evaluate --settings {{params.settings:q}} {TRAINING_OPTIONS}"
        " --checkpoint {input.checkpoint:q} --selection {input.selection:q}"
        " --out {output.scores:q} --embeddings {output.embeddings:q}"
        " --predictions {output.predictions:q}"
        " --threads {threads} --jobs-per-gpu {resources.jobs_per_gpu} --log {log:q}"
        f"{MADE_OPTION}"
