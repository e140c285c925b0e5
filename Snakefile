configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/download.smk"
include: "rules/train.smk"
include: "rules/activations.smk"
include: "rules/estimate.smk"
include: "rules/directions.smk"
include: "rules/functional_dimension.smk"
include: "rules/tabulate.smk"
include: "rules/plot.smk"
include: "rules/measures.smk"
include: "rules/tensorboard.smk"
include: "rules/report.smk"
include: "rules/plan.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        EVENTS,
        "results/report.html",
    localrule: True
    message:
        "Everything is up to date: see results/report.html, results/tables and results/figures."
