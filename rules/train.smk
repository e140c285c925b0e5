rule train:
    input:
        previous=checkpoints_before,
        data=ancient(data_of),  # the time of the download does not matter
    output:
        checkpoints=directory(CHECKPOINTS),
    log:
        f"{RUN}/logs/train/to~{{until}}.log",
    benchmark:
        f"{RUN}/benchmarks/train/to~{{until}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: lambda w: run_of(w).settings.training.threads
    resources:
        **memory_and_time("train"),
    params:
        program=program("train.py"),
        study=lambda w, output: shlex.quote(str(study_file(w.study))),
        expect=lambda w: planned_digest(run_of(w).counted, STUDIES[w.study].stage_until(int(w.until))),
        set=lambda w: set_options(run_of(w).chosen),
        previous=lambda w, input: f"--continue {input.previous}" if input.previous else "",
        code=code_of_run("train.py"),
    message:
        "Training {wildcards.study} {wildcards.run} to {wildcards.until}."
    shell:
        "{params.program} --study {params.study} {params.set} --expect {params.expect} --until {wildcards.until}"
        " {params.previous} --output {output.checkpoints} > {log} 2>&1"
