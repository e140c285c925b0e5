FIGURE_FILES = figure_files(STUDIES, CONFIG.estimators)


def figure_options(figure):
    """Return the function that gives the options of a figure's program: its tables and, for one of a study, which."""

    def options(wildcards, input):
        tables = " ".join(f"--{table} {input[table]}" for table in figure.tables)
        if figure.all_studies:
            return tables
        estimator, unit = figure.estimator_of(CONFIG.estimators), STUDIES[wildcards.study].unit
        return f"{tables} --study {wildcards.study} --estimator {estimator} --unit {unit}"

    return options


# One rule for each figure in the table of figures.
for figure in FIGURES.values():
    of_study = not figure.all_studies
    place = "{study}" if of_study else "all"

    rule:
        name:
            f"plot_{figure.name}"
        input:
            **{table: f"results/tables/{table}.csv" for table in figure.tables},
        output:
            svg=report(
                f"{figure.path}.svg",
                caption=f"../report/{figure.name}.rst",
                category=place if of_study else "all studies",
                labels={"figure": figure.title},
            ),
            png=f"{figure.path}.png",
        log:
            f"results/logs/plot_{figure.name}/{place}.log",
        benchmark:
            f"results/benchmarks/plot_{figure.name}/{place}.tsv"
        conda:
            "../envs/report.yaml"
        resources:
            **memory_and_time(f"plot_{figure.name}"),
        params:
            program=program(f"plot_{figure.name}.py"),
            estimator=figure.estimator_of(CONFIG.estimators),  # Snakemake does not record options, which need the input
            options=figure_options(figure),
            code=code_digest(f"plot_{figure.name}.py"),
        message:
            f"Plotting {figure.name}{' of {wildcards.study}' * of_study}."
        shell:
            # Formatted when the job runs, after the loop, so it must not use the loop's variables.
            "{params.program} {params.options} --svg {output.svg} --png {output.png} > {log} 2>&1"
