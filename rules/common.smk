"""What rules share: the checked configuration, paths, and digests of the programs."""

import gc
import json
import os
import re
import shlex
import sys
from pathlib import Path

from actdim import provenance
from actdim.provenance import settings_that_count
from actdim.cli import TELL
from actdim.datasets.published import default_folder
from actdim.errors import UserError
from actdim.folders import SCRIPTS
from actdim.measures.table import MEASURES
from actdim.names import BY_CLASS, INPUT, PCA
from actdim.plugins import run_functions
from actdim.study.config import ALL_ESTIMATORS
from actdim.study.figures import FIGURES, figure_files
from actdim.study.targets import (
    ACTIVATIONS,
    CHECKPOINTS,
    DOWNLOAD,
    ID,
    NEIGHBORS,
    RUN,
    checkpoint_folders,
    dump_of,
    id_files,
    measure_files,
    sample_sets,
    shown_sample_sets,
)
from actdim.registry import DOWNLOADED, ESTIMATORS
from actdim.study.stages import planned_digest
from actdim.study.study import load_config_and_studies, study_file
from actdim.study.yaml_files import read_yaml
from actdim.workflow import checked_config, handlers
from actdim.workflow.changes import jobs_of, reasons_to_run_again
from actdim.workflow.memory import lacking_memory, memory_of_machine
from actdim.workflow.options import measure_options, search_options, set_options, test_samples_options
from actdim.workflow.records import open_records
from actdim.workflow.resources import JOBS, resource_requests

# Snakemake keeps nearly all objects that it makes for a job; garbage collection took a third of the planning time.
gc.set_threshold(1_000_000)

if not os.access(".", os.W_OK):
    sys.exit("this folder is read-only, and Snakemake keeps its records here, in .snakemake/")
if workflow.modifier.path_modifier.prefix or workflow.modifier.path_modifier.modifies_prefixes:
    sys.exit("actdim: a module with `prefix` or `replace_prefix`; leave it out, or use `snakemake --directory`")
try:
    for file in workflow.configfiles:
        read_yaml(file)  # Snakemake takes the last of several values for a key; this refuses them
    # What the command line states replaces a section of config.yaml. Snakemake merges the two.
    if workflow.modifier.is_main_snakefile():
        for stated in [*map(read_yaml, workflow.overwrite_configfiles), workflow.config_settings.config]:
            config.update(stated)
    CONFIG, STUDIES = (workflow.remote_exec and checked_config.kept(config)) or load_config_and_studies(config)
except UserError as mistakes:
    sys.exit(str(mistakes))

SHOWN_ESTIMATOR = next(iter(CONFIG.estimators))  # by figures, the table of measures and the overview

shell.prefix(f"set -euo pipefail; {TELL}")  # the first part is Snakemake's default


def one_of(names):
    """Return the regular expression of a wildcard that is one of some names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    study="[^/]+",
    run="[^/~]+~[^/~]+(/[^/~]+~[^/~]+)*",
    until=r"\d+",
    at=r"\d+",
    samples=rf"\d+(-train)?({BY_CLASS})?",
    layer="[^/]+",
    estimator=one_of(ESTIMATORS),
    dataset=one_of(DOWNLOADED),


def run_of(wildcards):
    """Return the Run that a job belongs to."""
    return STUDIES[wildcards.study].runs[wildcards.run]


def code_digest(program, *entries):
    """Return the digest of a program's code; end Snakemake with a message if there is no such program."""
    if not os.access(SCRIPTS / program, os.X_OK):
        sys.exit(f"scripts/{program}: no such program, or not executable; restore it")
    return provenance.code_digest(program, *entries)


def program(name):
    """Return the function that gives the path of a program, as a parameter of a rule.

    Snakemake does not record parameters that depend on `output`: where the workflow lies must not run anything again.
    """
    path = SCRIPTS / name
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return lambda wildcards, output: shlex.quote(str(path))


def code_of_run(program):
    """Return the function that gives the digest of a program's code with that of the run's model and data set."""
    return lambda wildcards: code_digest(program, *run_functions(run_of(wildcards).settings))


def checkpoints_of(wildcards):
    """Return the folder of the checkpoint that a job dumps or measures."""
    stage = STUDIES[wildcards.study].stage_with(checkpoint_of(wildcards))
    return CHECKPOINTS.format(study=wildcards.study, run=wildcards.run, until=stage.until)


def checkpoint_file(wildcards):
    """Return the name of that checkpoint in its folder."""
    return f"{checkpoint_of(wildcards):05d}.pt"


def checkpoint_of(wildcards):
    """Return the epoch or step of that checkpoint."""
    return int(wildcards.at) if "at" in wildcards.keys() else dump_of(wildcards.samples)[1]


def expect_of(wildcards):
    """Return the option that states the content of the files that a run's settings name, if there are any."""
    files = run_of(wildcards).counted.get("files")
    return f"--expect {provenance.digest_of(files)}" if files else ""


def data_of(wildcards):
    """Return the file by which download_dataset says that a run's data set is there; [] for data from elsewhere."""
    dataset = run_of(wildcards).settings.dataset
    fetched = dataset.name in DOWNLOADED and Path(dataset.folder) == default_folder(dataset.name)
    return [DOWNLOAD.format(study=wildcards.study, dataset=dataset.name)] if fetched else []


def activations_of(wildcards):
    """Return the file that holds the activations of a set of samples."""
    dump, _, _ = dump_of(wildcards.samples)
    return ACTIVATIONS.format(study=wildcards.study, run=wildcards.run, samples=dump)


def neighbors_of_layers(wildcards):
    """Return the neighbor lists of the layers from the first to the one that feeds the classifier, without the input."""
    study, run = STUDIES[wildcards.study], run_of(wildcards)
    layers = [layer for layer in study.layers_of(run) if layer != INPUT]
    layers = layers[: layers.index(study.last_layer_of(run)) + 1]
    return expand(NEIGHBORS, layer=layers, **wildcards)


def previous_neighbors(wildcards):
    """Return the neighbor lists of what feeds the classifier, at the checkpoint measured before; [] for the first."""
    study = STUDIES[wildcards.study]
    _, checkpoint, split = dump_of(wildcards.samples)
    dumps = [dump_of(samples) for samples in shown_sample_sets(study.activations)]
    before = [dump for dump in dumps if dump[1] < checkpoint and dump[2] == split]
    if not before:
        return []
    samples, _, _ = max(before, key=lambda dump: dump[1])
    last = study.last_layer_of(run_of(wildcards))
    return [NEIGHBORS.format(study=wildcards.study, run=wildcards.run, samples=samples, layer=last)]


def by_class(wildcards):
    """Return the option to treat each class by itself, if the name of the set of samples says so."""
    return "--by-class" if wildcards.samples.endswith(BY_CLASS) else ""


def table_in_report(name):
    """Return a table as an output that the report shows."""
    return report(
        f"results/tables/{name}.csv",
        caption=f"../report/{name}_table.rst",
        category="tables",
        labels={"table": name},
    )


def config_options():
    """Return the configuration as options of a program: studies='["digits"]'."""
    checked = CONFIG.model_dump(mode="json")
    return " ".join(shlex.quote(f"{key}={json.dumps(value)}") for key, value in checked.items())


def estimates_of_run(wildcards):
    """Return the estimates of a run, without those by class."""
    activations = STUDIES[wildcards.study].activations
    return expand(
        ID,
        study=wildcards.study,
        run=wildcards.run,
        estimator=CONFIG.estimators,
        samples=[samples for samples in sample_sets(activations) if not samples.endswith(BY_CLASS)],
        layer=STUDIES[wildcards.study].layers_of(run_of(wildcards)),
    )


def checkpoints_before(wildcards):
    """Return the checkpoint folder of the stage before; [] for the first stage."""
    previous = STUDIES[wildcards.study].stage_until(int(wildcards.until)).previous
    return [] if previous is None else [CHECKPOINTS.format(study=wildcards.study, run=wildcards.run, until=previous)]


def measure_options_of(measure):
    """Return the function that gives the options of a measure's program."""
    return lambda w: measure_options(getattr(STUDIES[w.study].measures, measure.name), w.get("layer"))


def set_resources(rule):
    """Return the names of the resources of a rule that the command line or the profile sets."""
    return workflow.resource_settings.overwrite_resources.get(workflow.modifier.modify_rulename(rule), {}).keys()


ON_GPU = [rule for rule in JOBS if "gpu" in set_resources(rule)]  # rules whose jobs get a GPU each
REQUEST_FOR = resource_requests(STUDIES, CONFIG, ON_GPU)


def memory_and_time(rule):
    """Return the resources of a rule: {resource: function}, in MB and minutes; a job requests more at each retry."""
    return {
        "mem_mb": lambda wildcards, attempt: attempt * REQUEST_FOR(rule, wildcards).mem_mb,
        "runtime": lambda wildcards, attempt: attempt * REQUEST_FOR(rule, wildcards).runtime,
    }


def is_deleted_after_use(job):
    """Tell whether a Job makes activations that its study does not keep, so that they may be missing."""
    return job.rule == "dump_activations" and not STUDIES[job.study].activations.keep


if workflow.is_main_process:
    jobs = jobs_of(STUDIES, CONFIG)
    lines = reasons_to_run_again(jobs, open_records(workflow.workflow_settings))
    if workflow.resource_settings.nodes is None:  # on a cluster it is the number of submissions at once
        to_check = [job for job in jobs if "mem_mb" not in set_resources(job.rule) and not is_deleted_after_use(job)]
        lines += lacking_memory(to_check, REQUEST_FOR, memory_of_machine())
    print(*lines, sep="\n", end="\n" * bool(lines), file=sys.stderr)
