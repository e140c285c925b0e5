configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/download.smk"
include: "rules/train.smk"
include: "rules/activations.smk"
include: "rules/estimate.smk"
include: "rules/measures.smk"
include: "rules/tables.smk"
include: "rules/plots.smk"
include: "rules/tensorboard.smk"
include: "rules/report.smk"
include: "rules/plan.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURE_FILES,
        EVENTS,
        "results/report.html",
    localrule: True
    message:
        "Everything is up to date: see results/report.html, results/tables and results/figures."


onsuccess:
    from actdim.tables.missing import missing  # only here, for to import pandas takes a second

    if any(job.rule.name == "all" for job in workflow.dag.jobs):
        try:
            for line in missing("results/tables"):
                print(line, file=sys.stderr)
        except UserError as mistake:  # a table that the user has changed
            print(mistake, file=sys.stderr)
