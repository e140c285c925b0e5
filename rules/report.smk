TABLES = expand("results/tables/{table}.csv", table=["id", "summary", "correlations", "training"])


rule tabulate:
    input:
        ids=[path for study in STUDIES.values() for path in id_files(study, CONFIG.estimators)],
    output:
        id="results/tables/id.csv",
        summary="results/tables/summary.csv",
        correlations="results/tables/correlations.csv",
    log:
        "results/logs/tabulate.log",
    benchmark:
        "results/benchmarks/tabulate.tsv"
    params:
        code=code_digest("tabulate.py"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
    conda:
        "../envs/report.yaml"
    message:
        "Gathering all estimates into tables."
    shell:
        "printf '%s\\n' {input.ids} | scripts/tabulate.py"
        " --id {output.id} --summary {output.summary} --correlations {output.correlations} > {log} 2>&1"


rule tabulate_training:
    input:
        checkpoints=[path for study in STUDIES.values() for path in checkpoint_folders(study)],
    output:
        training="results/tables/training.csv",
    log:
        "results/logs/tabulate_training.log",
    benchmark:
        "results/benchmarks/tabulate_training.tsv"
    params:
        code=code_digest("tabulate_training.py"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
    conda:
        "../envs/report.yaml"
    message:
        "Gathering the metrics of all trainings into one table."
    shell:
        "printf '%s\\n' {input.checkpoints} | scripts/tabulate_training.py --output {output.training} > {log} 2>&1"
FIGURES = []
