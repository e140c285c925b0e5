rule functional_dimension:
    input:
        checkpoints=checkpoints_of,
        data=ancient(data_of),
    output:
        dimension=FUNCTIONAL_DIMENSION,
    log:
        f"{RUN}/logs/functional_dimension/{{at}}.log",
    benchmark:
        f"{RUN}/benchmarks/functional_dimension/{{at}}.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.functional_dimension),
    conda:
        "../envs/train.yaml"
    threads: lambda w: run_of(w).settings.training.threads
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        file=checkpoint_file,
        set=lambda w: set_options(STUDIES[w.study].functional_dimension.model_dump(exclude={"at"})),
        code=code_of_run("functional_dimension.py"),
    message:
        "Measuring the functional dimension of {wildcards.study} {wildcards.run} at {wildcards.at}."
    shell:
        "scripts/functional_dimension.py --checkpoint {input.checkpoints}/{params.file} {params.set}"
        " --output {output.dimension} > {log} 2>&1"
