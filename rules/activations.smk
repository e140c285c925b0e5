rule dump_activations:
    input:
        checkpoints=lambda w: expand(
            CHECKPOINTS, study=w.study, run=w.run, until=stage_of(STUDIES[w.study], dump_of(w.samples)[1])
        ),
        data=ancient(data_of),
    output:
        activations=ACTIVATIONS,
    log:
        f"{RUN}/logs/dump_activations/{{samples}}.log",
    benchmark:
        f"{RUN}/benchmarks/dump_activations/{{samples}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: lambda w: run_of(w).settings["training"]["threads"]
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        file=lambda w: f"{dump_of(w.samples)[1]:05d}.pt",
        split=lambda w: dump_of(w.samples)[2],
        layers=lambda w: STUDIES[w.study].activations.layers,
        code=code_of_run("dump_activations.py"),
    message:
        "Storing the activations of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "scripts/dump_activations.py --checkpoint {input.checkpoints}/{params.file}"
        " --split {params.split} --layers {params.layers} --output {output.activations} > {log} 2>&1"
