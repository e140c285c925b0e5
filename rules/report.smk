rule report:
    input:
        tables=TABLES,
        figures=FIGURE_FILES,
    output:
        report="results/report.html",
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        config=config_options("tensorboard"),  # which it does not show
    message:
        "Writing the report, a page that holds all figures, tables and how they were made."
    shell:
        # Snakemake makes its report in a run of its own, which the lock of this one must let pass. Where the log has no
        # room, tee says so.
        "snakemake {input} --report {output.report} --nolock --config {params.config} 2>&1 | tee {log} > /dev/null"
