configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/activations.smk"
include: "rules/estimate.smk"
include: "rules/report.smk"


rule all:
    input:
        TABLES,
        FIGURES,
    localrule: True
    default_target: True
    message:
        "Everything is up to date: tables are in results/tables, figures in results/figures."
