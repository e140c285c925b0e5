rule plan:
    log:
        "results/logs/plan.log",
    localrule: True
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        cores=lambda w: workflow.cores or 1,
        outputs=lambda w: " ".join(f"{rule.name}={len(rule.output)}" for rule in workflow.rules if len(rule.output) > 1),
        gpu=" ".join(ON_GPU),
        config=config_options(),
    message:
        "Estimating what the studies will cost."
    shell:
        # Without an output it runs whenever a user asks for it. The program runs `snakemake --summary`.
        "scripts/plan.py --cores {params.cores} --outputs {params.outputs} --gpu {params.gpu} --config {params.config} 2>&1 | tee {log}"
