rule tabulate_measures:
    input:
        summary="results/tables/summary.csv",
        probes=[
            path
            for study in STUDIES.values()
            for path in [*last_layer_pca_files(study), *direction_files(study), *functional_dimension_files(study)]
        ],
    output:
        measures=report(
            "results/tables/measures.csv",
            caption="../report/measures_table.rst",
            category="tables",
            labels={"table": "measures"},
        ),
        checksum="results/tables/measures.csv.sha256",
    log:
        "results/logs/tabulate_measures.log",
    benchmark:
        "results/benchmarks/tabulate_measures.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=DRAWN,
        code=code_digest("tabulate_measures.py"),
    message:
        "Gathering all measures into one table."
    shell:
        "printf '%s\\n' {input.probes} | scripts/tabulate_measures.py"
        " --summary {input.summary} --estimator {params.estimator} --output {output.measures} > {log} 2>&1"


rule tabulate_predictors:
    input:
        measures="results/tables/measures.csv",
    output:
        predictors=report(
            "results/tables/predictors.csv",
            caption="../report/predictors_table.rst",
            category="tables",
            labels={"table": "predictors"},
        ),
        reading=report(
            "results/tables/predictors.txt",
            caption="../report/predictors_reading.rst",
            category="tables",
            labels={"table": "predictors, in words"},
        ),
        checksum="results/tables/predictors.csv.sha256",
    log:
        "results/logs/tabulate_predictors.log",
    benchmark:
        "results/benchmarks/tabulate_predictors.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        code=code_digest("tabulate_predictors.py"),
    message:
        "Correlating all measures with generalization."
    shell:
        "scripts/tabulate_predictors.py --measures {input.measures}"
        " --predictors {output.predictors} --reading {output.reading} > {log} 2>&1"


rule plot_predictors:
    input:
        predictors="results/tables/predictors.csv",
    output:
        svg=report(
            "results/figures/predictors.svg",
            caption="../report/predictors.rst",
            category="all studies",
            labels={"figure": "Predictors of generalization"},
        ),
        png="results/figures/predictors.png",
    log:
        "results/logs/plot_predictors.log",
    benchmark:
        "results/benchmarks/plot_predictors.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=DRAWN,  # for the caption
        code=code_digest("plot_predictors.py"),
    message:
        "Plotting how each measure goes with generalization."
    shell:
        "scripts/plot_predictors.py --predictors {input.predictors} --svg {output.svg} --png {output.png} > {log} 2>&1"
