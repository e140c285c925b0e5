FIGURE_FILES = figure_files(STUDIES, CONFIG.estimators)

# One rule for each figure in the table of figures.
for figure in FIGURES.values():
    of_study = not figure.all_studies
    place = "{study}" if of_study else "all"
    options = " ".join(f"--{table} {{input.{table}}}" for table in figure.tables)
    if of_study:
        options += " --study {wildcards.study} --estimator {params.estimator} --unit {params.unit}"

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
            mem_mb=mem_mb,
            runtime=runtime,
        params:
            estimator=figure.estimator_of(CONFIG.estimators),
            unit=lambda w: STUDIES[w.study].unit if "study" in w.keys() else "",
            code=code_digest(f"plot_{figure.name}.py"),
        message:
            f"Plotting {figure.name}{' of {wildcards.study}' * of_study}."
        shell:
            f"scripts/plot_{figure.name}.py {options}" " --svg {output.svg} --png {output.png} > {log} 2>&1"
