import sys
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.27")

folder = workflow.current_basedir.get_path_or_uri(secret_free=True)
if not Path(folder).is_absolute():
    sys.exit(
        f"actdim: {folder}: Snakemake does not fetch programs; clone the repository, and name the clone's Snakefile"
    )
sys.path.insert(0, f"{folder}/scripts")  # before an installed actdim, which may be of another version

from actdim.folders import WORKFLOW, find_file

if not WORKFLOW.samefile(folder):
    sys.exit(f"actdim: {WORKFLOW} and {folder} cannot be used in one workflow; use one of them")


configfile: str(find_file("config.yaml"))


report: "report/workflow.rst"


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
        OVERVIEW,
    localrule: True


onstart:
    if not os.access("results" if Path("results").exists() else ".", os.W_OK):
        sys.exit("results/: read-only; nothing can be run here")
    handlers.exit_on_sigterm(workflow.scheduler)
    handlers.show_time_left(workflow.logger_manager.get_log_handlers())
    if not workflow.local_exec:
        checked_config.keep(config, CONFIG, STUDIES)


onsuccess:
    if any(job.rule.name == "all" for job in workflow.dag.jobs):
        for line in handlers.remarks("results/tables"):
            logger.warning(line)
        logger.info("Complete: results/tables, results/figures; the report is results/report.html.")


onerror:
    for line in handlers.failures(workflow.scheduler.failed):
        logger.error(line)
