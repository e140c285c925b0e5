# One rule for each measure of a checkpoint in the table of measures, or of each of its layers.
for measure in [measure for measure in MEASURES.values() if measure.settings]:
    place, of_layer = ("{at}/{layer}", " of {wildcards.layer}") if "{layer}" in measure.path else ("{at}", "")

    rule:
        name:
            measure.rule
        input:
            checkpoints=checkpoints_of,
            data=ancient(data_of),
        output:
            result=f"{RUN}/{measure.path}",
        log:
            f"{RUN}/logs/{measure.rule}/{place}.log",
        benchmark:
            f"{RUN}/benchmarks/{measure.rule}/{place}.tsv"
        wildcard_constraints:
            study=one_of(name for name, study in STUDIES.items() if getattr(study.measures, measure.name)),
        conda:
            "../envs/train.yaml"
        threads: lambda w: run_of(w).settings.training.threads
        resources:
            **memory_and_time(measure.rule),
        params:
            program=program(f"{measure.rule}.py"),
            file=checkpoint_file,
            expect=expect_of,
            options=measure_options_of(measure),
            code=code_of_run(f"{measure.rule}.py"),
        message:
            f"Measuring {measure.name.replace('_', ' ')}{of_layer} of {{wildcards.study}} {{wildcards.run}} at {{wildcards.at}}."
        shell:
            # Formatted when the job runs, after the loop, so it must not use the loop's variables.
            "{params.program} --checkpoint {input.checkpoints}/{params.file} {params.expect} {params.options}"
            " --output {output.result} > {log} 2>&1"


rule measure_neighborhoods:
    input:
        neighbors=neighbors_of_layers,
        previous=previous_neighbors,
        activations=activations_of,
    output:
        result=f"{RUN}/neighborhoods/{{samples}}.json",
    log:
        f"{RUN}/logs/measure_neighborhoods/{{samples}}.log",
    benchmark:
        f"{RUN}/benchmarks/measure_neighborhoods/{{samples}}.tsv"
    priority: 1
    conda:
        "../envs/estimate.yaml"
    resources:
        **memory_and_time("measure_neighborhoods"),
    params:
        program=program("measure_neighborhoods.py"),
        previous=lambda w, input: f"--previous {input.previous}" if input.previous else "",
        code=code_digest("measure_neighborhoods.py"),
    message:
        "Comparing neighborhoods of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --neighbors {input.neighbors} {params.previous}"
        " --activations {input.activations} --output {output.result} > {log} 2>&1"
