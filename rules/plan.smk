rule plan:
    log:
        "results/logs/plan.log",
    localrule: True
    conda:
        "../envs/train.yaml"
    resources:
        **memory_and_time("plan"),
    params:
        program=program("plan.py"),
        cores=lambda w: workflow.cores or 1,
        gpu=" ".join(ON_GPU),
        config=config_options(),
    message:
        "Estimating what the studies will cost."
    shell:
        # Without an output it runs whenever a user asks for it. The program runs `snakemake --summary`.
        "{params.program} --cores {params.cores} --gpu {params.gpu} --config {params.config} 2>&1 | tee {log}"
