"""The memory and time that jobs ask for, by what their study says: points x features, the model, epochs, the method.

Memory is the sum of what a job holds, by the formulas here, times MARGIN. Time is by rates far below those of a current
machine, and not below a floor, so that a job is not stopped for its limit on an ordinary one. A job that is tried again
asks for more (see common.smk). Nothing here imports torch, for it is asked while Snakemake plans.
"""

import functools
import inspect
import math
import re
from typing import NamedTuple

from actdim.datasets.dataset import data_set, whole_set
from actdim.estimators.pca import CHUNK_BYTES as PCA_CHUNK
from actdim.measures.table import MEASURES
from actdim.models.summary import ModelSummary, summarize_model
from actdim.names import BY_CLASS
from actdim.neighbors import search as neighbors
from actdim.neighbors.exact import CHUNK_BYTES, HELD_BYTES, PRODUCT_BYTES, WORTH_NUMBA
from actdim.neighbors.matmul import WORTH_TORCH
from actdim.study.runs import Run
from actdim.study.study import Study
from actdim.study.targets import dump_of, files_of_measure, sample_sets

MARGIN = 1.5


FLOOR, SHARED_FLOOR = 10, 2  # minutes: of a job, and of one of many in a submission, which asks for the time of all


# Bytes of a program and its libraries, measured as its largest resident size on tiny data, rounded up.
TRAINING, NUMPY, NUMBA, TORCH, PANDAS, SNAKEMAKE = 850e6, 90e6, 250e6, 350e6, 200e6, 600e6


CUDA = 3e9  # what torch takes beside that to use a GPU


OF_ROW, OF_JOB = 15e3, 50e3  # bytes of a table's row, and of a job in Snakemake's plan


# Rates a second, with which trainings take six times as long as on an AMD EPYC with AVX-512: floating-point operations,
# and bytes of activations to and from memory; of a thread of a CPU, and of a GPU (of the year 2016, not measured).
RATES, GPU_RATES = (3e10, 2e9), (1e12, 1e11)


FLOPS = RATES[0]  # a second, of linear algebra in float64


READING = 1e7  # bytes a second of samples, decoded


STORING = 5e7  # bytes a second


OF_STEP, OF_ROW_SECONDS = 0.02, 0.02  # seconds of a step beside its work, and of reading one result


SLOWER = 10  # times the seconds of formulas that were measured on a current machine


# Samples, and values of samples, at once: those of activations.py and training.py, which import torch.
DUMPED_AT_ONCE, EVALUATED_AT_ONCE, EVALUATED_VALUES = 100, 1024, 1 << 22


class Asked(NamedTuple):
    """What a job asks for."""

    mem_mb: int
    runtime: int  # minutes


class Subject(NamedTuple):
    """What decides about the jobs of a run."""

    study: Study
    run: Run
    sizes: dict  # {split: samples}
    classes: int
    values: int  # of a sample
    data: int  # bytes of all samples of the data set, also those that the run leaves out
    model: ModelSummary
    gpu: bool  # whether jobs that can use a GPU ask for one


def subject(study, run, gpu=False):
    """Return the Subject of a Run of a Study."""
    data = data_set(run.settings.dataset)
    whole = whole_set(run.settings.dataset)
    values = math.prod(data.shape)
    of_value = 8 if data.vocabulary else 1 if data.mean else 4
    total = of_value * values * sum(whole.sizes.values())
    model = study.model_of(run)
    return Subject(study, run, data.sizes, data.classes, values, total, model, gpu)


def train(of, until):
    """The samples; weights, gradients, optimizer and a snapshot of them; activations of a batch, and of an evaluation.

    Memory that a batch has freed is kept in pieces, of which an evaluation can use few.
    A step's work is three times that of the forward pass.
    """
    stage, training = of.study.stage_until(int(until)), of.run.settings.training
    samples, batch = of.sizes["train"], min(training.batch_size, of.sizes["train"])
    per_unit = max(1, samples // batch) if of.study.unit == "epochs" else 1
    steps, rows = (stage.until - stage.start) * per_unit, len(stage.evaluated(training.evaluate_every))
    step = work(of, 3 * batch) + 1e-8 * of.model.parameters + OF_STEP
    seconds = steps * step + rows * work(of, sum(of.sizes.values()))
    evaluated_at_once = max(1, min(EVALUATED_AT_ONCE, EVALUATED_VALUES // of.values))
    activations = 2 * batch * of.model.saved + 6 * evaluated_at_once * of.model.largest
    return asked(of_torch(of), 24 * of.model.parameters, activations, seconds=reading(of) + seconds)


def dump_activations(of, samples):
    """The samples, the model, its checkpoint, and a batch of all layers: as computed, as stored, and being written."""
    _, _, split = dump_of(samples)
    features = sum(of.model.layers.values())
    seconds = work(of, of.sizes[split]) + 4 * of.sizes[split] * features / STORING
    batch = DUMPED_AT_ONCE * (16 * features + 4 * of.model.largest)
    return asked(of_torch(of), 24 * of.model.parameters, batch, seconds=reading(of) + seconds)


def find_neighbors(of, samples, layer):
    """What the costlier of the methods that may come to be used holds; its time by neighbors.expected_seconds."""
    search, n, features = of.study.neighbors, points_of(of, samples), of.model.layers[layer]
    method = neighbors.METHODS[search.method]
    if method is neighbors.auto:
        method = neighbors.faster_method(n, features)
    methods = {method, neighbors.exact}  # which pynndescent may come to
    held = [memory_of_search(method, n, features, search.k) for method in methods]
    # Half of the points are searched by themselves, for the scale check.
    decimated = 2 * n * features + memory_of_search(neighbors.exact, n // 2, features, 2)
    of_class = 4 * n * features if samples.endswith(BY_CLASS) else 0
    seconds = max(neighbors.expected_seconds(method, n, features) for method in methods)
    groups = of.classes if of_class else 1
    return shared(NUMPY, max(*held, decimated), of_class, seconds=SLOWER * (seconds + 3 * groups))


def memory_of_search(method, n, features, k):
    """Return the bytes that a search for neighbors holds.

    exact: some columns of all points, as stored, as float32, as operands and of a block; all columns, where they are
    read once; the products of a block; candidates. pynndescent: all points three times as float32; its lists.
    """
    points = 4 * n * features
    if method is neighbors.pynndescent:
        return NUMBA + 3 * points + 60 * n * (k + 1)
    libraries = (NUMBA if n * features > WORTH_NUMBA / 3 else 0) + (TORCH if n * n * features > WORTH_TORCH else 0)
    held = points if 4 * n * n > PRODUCT_BYTES and points <= HELD_BYTES else 0
    return libraries + 4 * min(points, CHUNK_BYTES) + held + min(4 * n * n, PRODUCT_BYTES) + 100 * n * (k + 1)


def estimate_id(of, samples):
    """The lists and what is made of them; twonn_fit goes through all in every subsample."""
    n, k = points_of(of, samples), of.study.neighbors.k
    return shared(NUMPY, 32 * n * k, seconds=SLOWER * (2 + 2e-6 * n * k))


def estimate_pca(of, samples, layer):
    """Some of the points, and the matrix whose eigenvalues it takes, with what that needs; see estimators/pca.py."""
    n, features = points_of(of, samples), of.model.layers[layer]
    short, long = sorted((n, features))
    chunk = min(4 * n * features, PCA_CHUNK)
    return shared(NUMPY, 4 * chunk, 12 * short**2, seconds=SLOWER * (1 + 6e-11 * short**2 * (long + short)))


def take_measure(of, layer=None, *, measure):
    """The samples, the model, its checkpoint, and what the measure says that it needs; see measures.work."""
    settings = getattr(of.study.measures, measure.name)
    model = summarize_model(of.run.settings, settings.layers) if layer else of.model
    todo = measure.work(settings, model, of.sizes, of.classes, layer)
    seconds = reading(of) + SLOWER * todo.flops / FLOPS + work(of, todo.passes)
    floor = SHARED_FLOOR if layer else FLOOR
    return asked(of_torch(of), 24 * model.parameters, todo.memory, seconds=seconds, floor=floor)


def of_tables(studies, config):
    """Return a function that says what a job asks for that is no single run's, by the name of its rule.

    Those gather or draw tables; the plan runs a Snakemake that plans all jobs. Either grows with the number of results.
    """
    rows = rows_of(studies, config.estimators)
    table = shared(PANDAS, OF_ROW * rows, seconds=OF_ROW_SECONDS * rows)
    planning = asked(SNAKEMAKE, OF_JOB * rows, seconds=SLOWER * 2e-3 * rows)
    return lambda rule: planning if rule == "plan" else table


def rows_of(studies, estimators):
    """Return how many rows the tables of studies have at most, all together: estimates, epochs, other measures."""
    rows = 0
    for study in studies:
        for run in study.runs.values():
            layers, sets = len(study.layers_of(run)), sample_sets(study.activations)
            of_class = data_set(run.settings.dataset).classes if study.activations.by_class else 1
            rows += layers * len(sets) * of_class * (len(estimators) + 1)
            rows += sum(len(stage.evaluated(run.settings.training.evaluate_every)) for stage in study.stages)
            rows += sum(len(files_of_measure(study, run, measure)) for measure in MEASURES.values() if measure.work)
    return rows


def asking(studies, config, on_gpu):
    """Return a function (rule, wildcards) that says what a job asks for; wildcards: {name: value}, of a job of a run.

    studies: {name: Study}; on_gpu: the rules of which each job has a GPU.
    """
    tables = of_tables(studies.values(), config)

    @functools.cache
    def subject_of(study, run, gpu):
        return subject(studies[study], studies[study].runs[run], gpu)

    @functools.cache  # Snakemake asks for memory and time apart
    def of_job(rule, study, run, *values):
        return JOBS[rule](subject_of(study, run, rule in on_gpu), *values)

    def asked_by(rule, wildcards):
        if rule not in JOBS:
            return tables(rule)
        return of_job(rule, wildcards["study"], wildcards["run"], *(wildcards[name] for name in NAMES[rule]))

    return asked_by


JOBS = {
    job.__name__: job
    for job in (
        train,
        dump_activations,
        find_neighbors,
        estimate_id,
        estimate_pca,
    )
}
JOBS |= {one.rule: functools.partial(take_measure, measure=one) for one in MEASURES.values() if one.work}


NAMES = {rule: list(inspect.signature(job).parameters)[1:] for rule, job in JOBS.items()}  # of the wildcards it takes
NAMES |= {one.rule: re.findall(r"{(layer)}", one.path) for one in MEASURES.values() if one.work}


def asked(*held, seconds, floor=FLOOR):
    """Return the Asked of a job that holds so many bytes and takes so many seconds; megabytes by the hundred."""
    return Asked(100 * math.ceil(MARGIN * sum(held) / 1e8), max(floor, math.ceil(seconds / 60)))


shared = functools.partial(asked, floor=SHARED_FLOOR)  # of a job that slurm/config.yaml submits with many others


def of_torch(of):
    """Return the bytes of a program with torch and a run's samples: as read, as chosen, and what reading them takes."""
    return TRAINING + 3 * of.data + (CUDA if of.gpu else 0)


def points_of(of, samples):
    """Return the number of points of a set of samples; of a set by class too, for a class may be of any size."""
    _, _, split = dump_of(samples)
    return of.sizes[split]


def reading(of):
    """Return the seconds that it takes to read the data set."""
    return of.data / READING


def work(of, samples):
    """Return the seconds of a forward pass over so many samples."""
    if of.gpu:
        flops, traffic = GPU_RATES
    else:
        flops, traffic = (of.run.settings.training.threads * rate for rate in RATES)
    return samples * (of.model.flops / flops + of.model.saved / traffic)
