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
        study=one_of(
            name for name, study in STUDIES.items() if study.activations.keep and not study.has_own_activations
        ),
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


# For studies whose activations are in files of the user's own.
rule import_activations:
    input:
        # They are watched by content, not by time; see params.expect.
        files=lambda w: ancient(run_of(w).settings.paths(w.samples)),
    output:
        activations=ACTIVATIONS,
    log:
        f"{RUN}/logs/import_activations/{{samples}}.log",
    benchmark:
        f"{RUN}/benchmarks/import_activations/{{samples}}.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.has_own_activations),
    conda:
        "../envs/train.yaml"
    resources:
        **memory_and_time("import_activations"),
    params:
        program=program("import_activations.py"),
        study=lambda w, output: shlex.quote(str(study_file(w.study))),
        set=lambda w: set_options(run_of(w).chosen),
        at=checkpoint_of,
        split=lambda w: dump_of(w.samples)[2],
        expect=lambda w: provenance.digest_of(run_of(w).settings.counted(w.samples)),
        code=code_digest("import_activations.py"),
    message:
        "Importing the activations of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --study {params.study} {params.set} --at {params.at} --split {params.split}"
        " --expect {params.expect} --output {output.activations} > {log} 2>&1"
