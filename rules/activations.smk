rule dump_activations:
    input:
        checkpoints=checkpoints_of,
        data=ancient(data_of),
    output:
        activations=ACTIVATIONS,
    log:
        f"{RUN}/logs/dump_activations/{{samples}}.log",
    benchmark:
        f"{RUN}/benchmarks/dump_activations/{{samples}}.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.activations.keep),
    conda:
        "../envs/train.yaml"
    threads: lambda w: run_of(w).settings.training.threads
    resources:
        **memory_and_time("dump_activations"),
    params:
        program=program("dump_activations.py"),
        file=checkpoint_file,
        expect=expect_of,
        split=lambda w: dump_of(w.samples)[2],
        layers=lambda w: STUDIES[w.study].activations.layers,
        dtype=lambda w: STUDIES[w.study].activations.dtype,
        code=code_of_run("dump_activations.py"),
    message:
        "Storing the activations of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --checkpoint {input.checkpoints}/{params.file}"
        " {params.expect} --split {params.split} --layers {params.layers} --dtype {params.dtype} --output {output.activations} > {log} 2>&1"


# For studies that do not keep activations: Snakemake deletes them after the last job that needs them.
use rule dump_activations as dump_activations_for_a_while with:
    output:
        activations=temp(ACTIVATIONS),
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if not study.activations.keep),
