rule dump_activations:
    input:
        checkpoints=lambda w: expand(
            CHECKPOINTS, study=w.study, run=w.run, until=stage_of(STUDIES[w.study], int(w.checkpoint))
        ),
    output:
        activations=ACTIVATIONS,
    log:
        f"{RUN}/logs/dump_activations/{{checkpoint}}.log",
    benchmark:
        f"{RUN}/benchmarks/dump_activations/{{checkpoint}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: lambda w: run_of(w).settings["training"]["threads"]
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        split=lambda w: STUDIES[w.study].activations.split,
        layers=lambda w: STUDIES[w.study].activations.layers,
        code=code_of_run("dump_activations.py"),
    message:
        "Storing the activations of {wildcards.study} {wildcards.run} at {wildcards.checkpoint}."
    shell:
        "scripts/dump_activations.py --checkpoint {input.checkpoints}/{wildcards.checkpoint}.pt"
        " --split {params.split} --layers {params.layers} --output {output.activations} > {log} 2>&1"
