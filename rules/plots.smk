CHECKED = next((name for name in CONFIG.estimators if name.startswith("twonn")), None)  # has a scale check
FIGURES = [
    *(
        f"results/figures/{study.name}/{figure}.{format}"
        for study in STUDIES.values()
        for figure in study.figures
        if figure != "scale_check" or CHECKED
        for format in ("svg", "png")
    ),
    "results/figures/predictors.svg",
    "results/figures/predictors.png",
]


rule plot_llid:
    input:
        summary="results/tables/summary.csv",
    output:
        svg=report(
            "results/figures/{study}/llid.svg",
            caption="../report/llid.rst",
            category="{study}",
            labels={"figure": "Last-layer ID"},
        ),
        png="results/figures/{study}/llid.png",
    log:
        "results/logs/plot_llid/{study}.log",
    benchmark:
        "results/benchmarks/plot_llid/{study}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=SHOWN_ESTIMATOR,
        code=code_digest("plot_llid.py"),
    message:
        "Plotting last-layer ID against regularization strength of {wildcards.study}."
    shell:
        "scripts/plot_llid.py --summary {input.summary} --study {wildcards.study} --estimator {params.estimator}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"


rule plot_pid:
    input:
        summary="results/tables/summary.csv",
    output:
        svg=report(
            "results/figures/{study}/pid.svg",
            caption="../report/pid.rst",
            category="{study}",
            labels={"figure": "Peak ID"},
        ),
        png="results/figures/{study}/pid.png",
    log:
        "results/logs/plot_pid/{study}.log",
    benchmark:
        "results/benchmarks/plot_pid/{study}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=SHOWN_ESTIMATOR,
        code=code_digest("plot_pid.py"),
    message:
        "Plotting peak ID against regularization strength of {wildcards.study}."
    shell:
        "scripts/plot_pid.py --summary {input.summary} --study {wildcards.study} --estimator {params.estimator}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"


rule plot_pid_over_llid:
    input:
        summary="results/tables/summary.csv",
    output:
        svg=report(
            "results/figures/{study}/pid_over_llid.svg",
            caption="../report/pid_over_llid.rst",
            category="{study}",
            labels={"figure": "Peak ID over last-layer ID"},
        ),
        png="results/figures/{study}/pid_over_llid.png",
    log:
        "results/logs/plot_pid_over_llid/{study}.log",
    benchmark:
        "results/benchmarks/plot_pid_over_llid/{study}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=SHOWN_ESTIMATOR,
        code=code_digest("plot_pid_over_llid.py"),
    message:
        "Plotting peak ID over last-layer ID against validation accuracy of {wildcards.study}."
    shell:
        "scripts/plot_pid_over_llid.py --summary {input.summary} --study {wildcards.study} --estimator {params.estimator}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"


rule plot_grokking:
    input:
        summary="results/tables/summary.csv",
        training="results/tables/training.csv",
    output:
        svg=report(
            "results/figures/{study}/grokking.svg",
            caption="../report/grokking.rst",
            category="{study}",
            labels={"figure": "Grokking"},
        ),
        png="results/figures/{study}/grokking.png",
    log:
        "results/logs/plot_grokking/{study}.log",
    benchmark:
        "results/benchmarks/plot_grokking/{study}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=SHOWN_ESTIMATOR,
        unit=lambda w: STUDIES[w.study].unit,
        code=code_digest("plot_grokking.py"),
    message:
        "Plotting accuracies and last-layer ID over training of {wildcards.study}."
    shell:
        "scripts/plot_grokking.py --summary {input.summary} --training {input.training} --study {wildcards.study} --estimator {params.estimator} --unit {params.unit}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"


rule plot_id_over_depth:
    input:
        id="results/tables/id.csv",
    output:
        svg=report(
            "results/figures/{study}/id_over_depth.svg",
            caption="../report/id_over_depth.rst",
            category="{study}",
            labels={"figure": "ID over depth"},
        ),
        png="results/figures/{study}/id_over_depth.png",
    log:
        "results/logs/plot_id_over_depth/{study}.log",
    benchmark:
        "results/benchmarks/plot_id_over_depth/{study}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=SHOWN_ESTIMATOR,
        unit=lambda w: STUDIES[w.study].unit,
        code=code_digest("plot_id_over_depth.py"),
    message:
        "Plotting ID over depth of {wildcards.study}."
    shell:
        "scripts/plot_id_over_depth.py --id {input.id} --study {wildcards.study} --estimator {params.estimator} --unit {params.unit}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"


rule plot_scale_check:
    input:
        id="results/tables/id.csv",
    output:
        svg=report(
            "results/figures/{study}/scale_check.svg",
            caption="../report/scale_check.rst",
            category="{study}",
            labels={"figure": "Scale check"},
        ),
        png="results/figures/{study}/scale_check.png",
    log:
        "results/logs/plot_scale_check/{study}.log",
    benchmark:
        "results/benchmarks/plot_scale_check/{study}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb,
        runtime=runtime,
    params:
        estimator=CHECKED,
        code=code_digest("plot_scale_check.py"),
    message:
        "Plotting ID over the number of points of {wildcards.study}."
    shell:
        "scripts/plot_scale_check.py --id {input.id} --study {wildcards.study} --estimator {params.estimator}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"


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
        estimator=SHOWN_ESTIMATOR,  # for the caption
        code=code_digest("plot_predictors.py"),
    message:
        "Plotting how each measure goes with generalization."
    shell:
        "scripts/plot_predictors.py --predictors {input.predictors} --svg {output.svg} --png {output.png} > {log} 2>&1"
