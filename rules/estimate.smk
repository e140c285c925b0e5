rule find_neighbors:
    input:
        activations=activations_of,
    output:
        neighbors=NEIGHBORS,
    log:
        f"{RUN}/logs/find_neighbors/{{samples}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/find_neighbors/{{samples}}/{{layer}}.tsv"
    priority: 1  # before another dump: temporary activations go when all their neighbors are found
    conda:
        "../envs/estimate.yaml"
    resources:
        **memory_and_time("find_neighbors"),
    params:
        program=program("find_neighbors.py"),
        search=lambda w: search_options(STUDIES[w.study].neighbors, w.samples),
        code=code_digest("find_neighbors.py"),
    message:
        "Finding neighbors in {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --activations {input.activations} --layer {wildcards.layer}"
        " {params.search} --output {output.neighbors} > {log} 2>&1"


rule estimate_id:
    input:
        neighbors=NEIGHBORS,
    output:
        id=ID,
    log:
        f"{RUN}/logs/estimate_id/{{estimator}}/{{samples}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/estimate_id/{{estimator}}/{{samples}}/{{layer}}.tsv"
    conda:
        "../envs/estimate.yaml"
    resources:
        **memory_and_time("estimate_id"),
    params:
        program=program("estimate_id.py"),
        set=lambda w: set_options(settings_that_count(CONFIG.estimators[w.estimator])),
        code=lambda w: code_digest("estimate_id.py", ESTIMATORS[w.estimator]),
    message:
        "Estimating the ID of {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --neighbors {input.neighbors} --estimator {wildcards.estimator} {params.set}"
        " --output {output.id} > {log} 2>&1"


rule estimate_pca:
    input:
        activations=activations_of,
    output:
        id=expand(ID, estimator=PCA, allow_missing=True),
    log:
        f"{RUN}/logs/estimate_pca/{{samples}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/estimate_pca/{{samples}}/{{layer}}.tsv"
    priority: 1
    conda:
        "../envs/estimate.yaml"
    resources:
        **memory_and_time("estimate_pca"),
    params:
        program=program("estimate_pca.py"),
        by_class=by_class,
        code=code_digest("estimate_pca.py"),
    message:
        "Finding principal components in {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --activations {input.activations} --layer {wildcards.layer} {params.by_class}"
        " --output {output.id} > {log} 2>&1"


# The null of LLID, by the estimator that tables and figures show.
rule estimate_null:
    input:
        spectrum=expand(ID, estimator=PCA, allow_missing=True),
    output:
        null=f"{RUN}/null/{{samples}}/{{layer}}.json",
    log:
        f"{RUN}/logs/estimate_null/{{samples}}/{{layer}}.log",
    benchmark:
        f"{RUN}/benchmarks/estimate_null/{{samples}}/{{layer}}.tsv"
    conda:
        "../envs/estimate.yaml"
    resources:
        **memory_and_time("estimate_null"),
    params:
        program=program("estimate_null.py"),
        estimator=SHOWN_ESTIMATOR,
        set=set_options(settings_that_count(CONFIG.estimators[SHOWN_ESTIMATOR])),
        search=lambda w: search_options(STUDIES[w.study].neighbors, w.samples),
        code=code_digest("estimate_null.py", ALL_ESTIMATORS[SHOWN_ESTIMATOR]),
    message:
        "Estimating the null of {wildcards.layer} of {wildcards.study} {wildcards.run} at {wildcards.samples}."
    shell:
        "{params.program} --spectrum {input.spectrum} --estimator {params.estimator} {params.set}"
        " {params.search} --output {output.null} > {log} 2>&1"
