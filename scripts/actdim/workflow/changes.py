"""Why results are made again: what made them, as they say themselves, compared with what would make them now.

Every result states in `made_by` which settings and code made it (see provenance.py), so that changes are known without
Snakemake's own records: a fresh clone has none, and a Snakemake that was killed did not write all. Where Snakemake has
a record of a result, that record decides, because `snakemake --touch` notes in it that a change is harmless.
"""

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import h5py

from actdim.activations.settings import dump_settings
from actdim.measures.table import MEASURES
from actdim.names import PCA
from actdim.plugins import run_functions
from actdim.provenance import code_digests, digest_of, settings_that_count
from actdim.study.config import ALL_ESTIMATORS
from actdim.study.stages import planned_digest
from actdim.study.targets import (
    ACTIVATIONS,
    CHECKPOINTS,
    ID,
    NEIGHBORS,
    dump_of,
    files_of_measure,
    sample_sets,
    wildcards_of,
)
from actdim.workflow.options import how_measured, measure_options, search_options, set_options

NOTED = Path(".snakemake/noted_by_actdim.txt")
SHOWN = 3  # differences in a line
UNKNOWN_RECORDS = (
    "The records of this version or backend of Snakemake are not known here: it may not run all of these again; to run "
    "all results of a rule again, name it: snakemake --forcerun RULE"
)


class Job(NamedTuple):
    """What would make a result now."""

    study: str
    rule: str
    output: str
    settings: dict  # that count
    code: dict  # {module: digest}
    params: list  # of the rule, which stand for the settings


def jobs_of(studies, config):
    """Return the Job of every result of all runs."""
    estimators = {
        name: ("estimate_id", counted, code_digests("estimate_id.py", ALL_ESTIMATORS[name]), [set_options(counted)])
        for name in config.estimators.keys() - {PCA}
        for counted in [settings_that_count(config.estimators[name])]
    }
    if PCA in config.estimators:
        estimators[PCA] = ("estimate_pca", {}, code_digests("estimate_pca.py"), [])
    jobs = []
    for study in studies.values():
        for run in study.runs.values():
            place = {"study": study.name, "run": run.name}
            jobs += training_jobs(study, run, place)
            jobs += activation_jobs(study, run, place, estimators)
            jobs += measure_jobs(study, run, config)
    return list({job.output: job for job in jobs}.values())  # the estimator pca and the participation ratio are one


def training_jobs(study, run, place):
    """Yield the Job of each stage of a run."""
    for stage in study.stages:
        code = code_digests("train.py", *run_functions(run.settings))
        output = CHECKPOINTS.format(**place, until=stage.until)
        settings = {**run.counted, "kept": stage.kept}
        yield Job(study.name, "train", output, settings, code, [planned_digest(run.counted, stage)])


def activation_jobs(study, run, place, estimators):
    """Yield the Job of each file of activations of a run, of its neighbor lists and of its estimates.

    estimators: {name: (rule, settings that count, code, params)}.
    """
    search_code, search = code_digests("find_neighbors.py"), settings_that_count(study.neighbors)
    for samples in sample_sets(study.activations):
        name, _, split = dump_of(samples)
        yield storing_job(study, run, ACTIVATIONS.format(**place, samples=name), name, split)
        options = search_options(study.neighbors, samples)
        for layer in study.layers_of(run):
            files = {**place, "samples": samples, "layer": layer}
            yield Job(study.name, "find_neighbors", NEIGHBORS.format(**files), search, search_code, [options])
            for estimator, (rule, *how) in estimators.items():
                yield Job(study.name, rule, ID.format(**files, estimator=estimator), *how)


def storing_job(study, run, output, samples, split):
    """Return the Job of a file of activations: an import of files of the user's own, or a dump of a model's."""
    if study.has_own_activations:
        settings = run.settings.counted(samples)
        code = code_digests("import_activations.py")
        return Job(study.name, "import_activations", output, settings, code, [digest_of(settings)])
    chosen, dtype = study.activations.layers, study.activations.dtype
    settings = dump_settings(split, chosen, dtype)
    code = code_digests("dump_activations.py", *run_functions(run.settings))
    return Job(study.name, "dump_activations", output, settings, code, [split, chosen, dtype])


def measure_jobs(study, run, config):
    """Yield the Job of each measure of a run."""
    for measure in MEASURES.values():
        for output in files_of_measure(study, run, measure):
            place = wildcards_of(measure.rule, output)
            if measure.settings:
                settings, entries = getattr(study.measures, measure.name), run_functions(run.settings)
                counted, params = how_measured(settings), [measure_options(settings, place.get("layer"))]
            elif measure.by_estimator:
                estimator = next(iter(config.estimators))
                settings, entries = settings_that_count(config.estimators[estimator]), [ALL_ESTIMATORS[estimator]]
                counted = {**settings, **settings_that_count(study.neighbors)}
                params = [set_options(settings), search_options(study.neighbors, place["samples"])]
            else:
                counted, entries, params = {}, [], []
            code = code_digests(f"{measure.rule}.py", *entries)
            yield Job(study.name, measure.rule, output, counted, code, params)


def reasons_to_run_again(jobs, records):
    """Return lines that say why results are made again, and have Snakemake rerun those that it has no record of.

    records: Snakemake's Records, or None where they are not known; then a line says what to do.
    """
    counts, noted = Counter(), read_noted() if records else set()
    for job in jobs:
        made_by = read_made_by(job.output)
        differences = list(differing(made_by, job)) if made_by else []
        if records and not differences and job.output in noted:  # made again since, or the settings were changed back
            records.forget_other_params(job.output)
            noted.remove(job.output)
        elif records and differences and not records.has(job.output):
            records.note_other_params(job.output)
            noted.add(job.output)
        elif records and differences and records.state(job):
            continue  # it is harmless: `snakemake --touch` has recorded it
        if differences:
            counts[job.study, job.rule, in_words(differences)] += 1
    if noted or (records and NOTED.exists()):
        NOTED.write_text("".join(f"{output}\n" for output in sorted(noted)))
    lines = [line(*key, count) for key, count in counts.items()]
    return lines if records or not lines else [*lines, UNKNOWN_RECORDS]


def read_noted():
    """Return the outputs of which Snakemake had no record, and for which `note_other_params` has written one."""
    return set(NOTED.read_text().splitlines()) if NOTED.exists() else set()


def read_made_by(output):
    """Return the `made_by` of a result; None where there is no such result or it does not state it."""
    path = Path(output)
    with contextlib.suppress(OSError, ValueError, KeyError):
        if path.suffix == ".h5":
            with h5py.File(path, "r") as file:
                return json.loads(file.attrs["made_by"])
        return json.loads((path / "run.json" if path.is_dir() else path).read_bytes())["made_by"]
    return None


def differing(made_by, job):
    """Yield in words each setting, file and module that differs between what made a result and what would make it."""
    before, now = dict(made_by.get("settings", {})), dict(job.settings)
    files_before, files = before.pop("files", {}), now.pop("files", {})
    before, now = flat(before), flat(now)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            yield f"{key} is {shown(now, key)} and was {shown(before, key)}"
    for path in sorted(files):  # a path that is named no more is a change of a setting
        if files[path] != files_before.get(path):
            yield f"{path} has changed" if path in files_before else f"what {path} held before is not known"
    code = made_by.get("code", {})
    for module in sorted(code.keys() | job.code.keys()):
        if code.get(module) != job.code.get(module):
            yield f"{module} has changed"


def flat(settings, prefix=""):
    """Return nested settings as {"training.lr": 0.1}."""
    flattened = {}
    for key, value in settings.items():
        flattened |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flattened


def shown(settings, key):
    """Return the value of a setting as text."""
    return json.dumps(settings[key]) if key in settings else "its default"


def in_words(differences):
    """Return the first differences as one text, and how many more there are."""
    more = len(differences) - SHOWN
    return "; ".join(differences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def line(study, rule, differences, count):
    """Return what to tell the user of results of a study and a rule."""
    return f"{study}: {rule} runs again for {count} result{'s' if count > 1 else ''}: {differences}"
