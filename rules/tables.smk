# What tabulate_generalization writes.
GENERALIZATION = ["generalization", *(f"generalization_{part}" for part in ("axes", "environments", "comparisons"))]
TABLES = [
    *expand(
        "results/tables/{table}.csv",
        table=["id", "summary", "correlations", "training", "measures", "predictors", *GENERALIZATION],
    ),
    "results/tables/predictors.txt",
]


rule tabulate_id:
    input:
        ids=[path for study in STUDIES.values() for path in id_files(study, CONFIG.estimators)],
    output:
        id=table_in_report("id"),
        summary=table_in_report("summary"),
        correlations=table_in_report("correlations"),
        checksums=expand("results/tables/{table}.csv.sha256", table=["id", "summary", "correlations"]),
    log:
        "results/logs/tabulate_id.log",
    benchmark:
        "results/benchmarks/tabulate_id.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **memory_and_time("tabulate_id"),
    params:
        program=program("tabulate_id.py"),
        code=code_digest("tabulate_id.py"),
    message:
        "Gathering all estimates into tables."
    shell:
        "printf '%s\\n' {input.ids} | {params.program}"
        " --id {output.id} --summary {output.summary} --correlations {output.correlations} > {log} 2>&1"


rule tabulate_training:
    input:
        checkpoints=[path for study in STUDIES.values() for path in checkpoint_folders(study)],
    output:
        training="results/tables/training.csv",
        checksum="results/tables/training.csv.sha256",
    log:
        "results/logs/tabulate_training.log",
    benchmark:
        "results/benchmarks/tabulate_training.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **memory_and_time("tabulate_training"),
    params:
        program=program("tabulate_training.py"),
        code=code_digest("tabulate_training.py"),
    message:
        "Gathering the metrics of all trainings into one table."
    shell:
        "printf '%s\\n' {input.checkpoints} | {params.program} --output {output.training} > {log} 2>&1"


rule tabulate_measures:
    input:
        summary="results/tables/summary.csv",
        results=[path for study in STUDIES.values() for path in measure_files(study)],
    output:
        measures=table_in_report("measures"),
        checksum="results/tables/measures.csv.sha256",
    log:
        "results/logs/tabulate_measures.log",
    benchmark:
        "results/benchmarks/tabulate_measures.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **memory_and_time("tabulate_measures"),
    params:
        program=program("tabulate_measures.py"),
        estimator=SHOWN_ESTIMATOR,
        code=code_digest("tabulate_measures.py"),
    message:
        "Gathering all measures into one table."
    shell:
        "printf '%s\\n' {input.results} | {params.program}"
        " --summary {input.summary} --estimator {params.estimator} --output {output.measures} > {log} 2>&1"


rule tabulate_generalization:
    input:
        measures="results/tables/measures.csv",
    output:
        generalization=table_in_report("generalization"),
        axes=table_in_report("generalization_axes"),
        environments="results/tables/generalization_environments.csv",
        comparisons=table_in_report("generalization_comparisons"),
        checksums=expand("results/tables/{table}.csv.sha256", table=GENERALIZATION),
    log:
        "results/logs/tabulate_generalization.log",
    benchmark:
        "results/benchmarks/tabulate_generalization.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **memory_and_time("tabulate_generalization"),
    params:
        program=program("tabulate_generalization.py"),
        # Of `output`, so that it is not recorded: sizes may change with a download, which reruns nothing.
        options=lambda w, output: test_samples_options(STUDIES),
        code=code_digest("tabulate_generalization.py"),
    message:
        "Judging how well all measures predict generalization."
    shell:
        "{params.program} --measures {input.measures} {params.options} --output {output.generalization} > {log} 2>&1"


rule tabulate_predictors:
    input:
        measures="results/tables/measures.csv",
        generalization="results/tables/generalization.csv",
        comparisons="results/tables/generalization_comparisons.csv",
    output:
        predictors=table_in_report("predictors"),
        findings=report(
            "results/tables/predictors.txt",
            caption="../report/findings.rst",
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
    resources:
        **memory_and_time("tabulate_predictors"),
    params:
        program=program("tabulate_predictors.py"),
        code=code_digest("tabulate_predictors.py"),
    message:
        "Correlating all measures with generalization."
    shell:
        "{params.program} --measures {input.measures}"
        " --predictors {output.predictors} --findings {output.findings}"
        " --generalization {input.generalization} --comparisons {input.comparisons} > {log} 2>&1"
