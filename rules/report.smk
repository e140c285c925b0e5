# Snakemake writes the report after the run; see profiles/default/config.yaml. This is the page with which it opens.
OVERVIEW = "results/overview.rst"
FIRST_FIGURES = {Path(path).parent.name: path for path in reversed(FIGURE_FILES) if path.endswith(".svg")}


rule describe_results:
    input:
        summary="results/tables/summary.csv",
        predictors="results/tables/predictors.csv",
        figures=[FIRST_FIGURES[study] for study in STUDIES if study in FIRST_FIGURES],
    output:
        overview=OVERVIEW,
    log:
        "results/logs/describe_results.log",
    benchmark:
        "results/benchmarks/describe_results.tsv"
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        **memory_and_time("describe_results"),
    params:
        program=program("describe_results.py"),
        estimator=SHOWN_ESTIMATOR,
        code=code_digest("describe_results.py"),
    message:
        "Describing the results for the report."
    shell:
        "{params.program} --summary {input.summary} --predictors {input.predictors}"
        " --estimator {params.estimator} --figures {input.figures} --output {output.overview} > {log} 2>&1"
