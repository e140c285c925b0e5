rule ablate_directions:
    input:
        checkpoints=checkpoints_of,
        data=ancient(data_of),
    output:
        directions=DIRECTIONS,
    log:
        f"{RUN}/logs/ablate_directions/{{at}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/ablate_directions/{{at}}/{{layer}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: lambda w: run_of(w).settings.training.threads
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        file=checkpoint_file,
        set=lambda w: set_options(STUDIES[w.study].directions.model_dump(exclude={"at", "layers"})),
        code=code_of_run("ablate_directions.py"),
    message:
        "Ablating {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.at}."
    shell:
        "scripts/ablate_directions.py --checkpoint {input.checkpoints}/{params.file} --layer {wildcards.layer}"
        " {params.set} --output {output.directions} > {log} 2>&1"
