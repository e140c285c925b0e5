rule find_neighbors:
    input:
        activations=ACTIVATIONS,
    output:
        neighbors=NEIGHBORS,
    log:
        f"{RUN}/logs/find_neighbors/{{checkpoint}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/find_neighbors/{{checkpoint}}/{{layer}}.tsv"
    conda:
        "../envs/estimate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        method=lambda w: STUDIES[w.study].neighbors.method,
        k=lambda w: STUDIES[w.study].neighbors.k,
        seed=lambda w: STUDIES[w.study].neighbors.seed,
        code=code_digest("find_neighbors.py"),
    message:
        "Finding neighbors in {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.checkpoint}."
    shell:
        "scripts/find_neighbors.py --activations {input.activations} --layer {wildcards.layer}"
        " --method {params.method} --k {params.k} --seed {params.seed} --output {output.neighbors} > {log} 2>&1"


rule estimate_id:
    input:
        neighbors=NEIGHBORS,
    output:
        id=ID,
    log:
        f"{RUN}/logs/estimate_id/{{estimator}}/{{checkpoint}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/estimate_id/{{estimator}}/{{checkpoint}}/{{layer}}.tsv"
    conda:
        "../envs/estimate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        set=lambda w: set_options(CONFIG.estimators[w.estimator]),
        code=code_digest("estimate_id.py"),
    message:
        "Estimating the ID of {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.checkpoint}."
    shell:
        "scripts/estimate_id.py --neighbors {input.neighbors} --estimator {wildcards.estimator} {params.set}"
        " --output {output.id} > {log} 2>&1"
