"""The memory and time that jobs request, by what their study says: points x features, the model, epochs, the method.

Memory is the sum of what a job holds, by the formulas here, times MARGIN. Time follows from rates far below those of a
current machine, and is not below a floor, so that no job is stopped for its limit on an ordinary machine. A job that is
tried again requests more (see common.smk). Nothing here imports torch, because Snakemake plans by this module.

The functions in JOBS are named after rules. They take a Workload and the wildcards of a job besides study and run.
"""

import functools
import inspect
import math
import re
from typing import NamedTuple

from actdim.activations.array_files import PIECE
from actdim.activations.limits import BATCH as DUMPED_AT_ONCE
from actdim.datasets.dataset import data_set, full_data_set
from actdim.estimators.pca import CHUNK_BYTES as PCA_CHUNK
from actdim.measures.null import DRAWN_POINTS, MOST_DRAWS
from actdim.measures.table import MEASURES
from actdim.models.summary import ModelSummary, summarize_model
from actdim.names import BY_CLASS
from actdim.neighbors import search as neighbors
from actdim.neighbors import sketch
from actdim.neighbors.audit import AUDITED
from actdim.neighbors.exact import CHUNK_BYTES, HELD_BYTES, PRODUCT_BYTES, WORTH_NUMBA
from actdim.neighbors.matmul import WORTH_TORCH
from actdim.study.own_run import Shapes
from actdim.study.runs import Run
from actdim.study.study import Study
from actdim.study.targets import dump_of, files_of_measure, sample_sets
from actdim.training.limits import EVALUATED_SAMPLES, EVALUATED_VALUES

MARGIN = 1.5
FLOOR = 10  # minutes of a job
SHARED_FLOOR = 2  # minutes of one of many jobs in a submission (see slurm/config.yaml), which requests the time of all

# Bytes of a program and its libraries, measured as its largest resident size on tiny data, rounded up.
TRAINING, NUMPY, NUMBA, TORCH, PANDAS, SNAKEMAKE = 850e6, 90e6, 250e6, 350e6, 200e6, 600e6
CUDA = 3e9  # bytes that torch takes in addition to use a GPU

BYTES_OF_ROW, SECONDS_OF_ROW = 15e3, 0.02  # of a row of a table, of reading its result
BYTES_OF_PLANNED_JOB, SECONDS_OF_PLANNED_JOB = 50e3, 2e-3  # of a job in Snakemake's plan

# Floating-point operations, and bytes of activations to and from memory, each second: of a thread of a CPU, with which
# trainings take six times as long as on an AMD EPYC with AVX-512; and of a GPU of the year 2016 (not measured).
CPU_RATES, GPU_RATES = (3e10, 2e9), (1e12, 1e11)
FLOPS = CPU_RATES[0]  # of linear algebra in float64
READING = 1e7  # bytes a second of samples, decoded
STORING = 5e7  # bytes a second of activations
SECONDS_OF_STEP = 0.02  # of a training step, besides its computations
SLOWER = 10  # how much slower a machine may be than the one on which formulas for seconds were measured


class Request(NamedTuple):
    """The resources that a job requests."""

    mem_mb: int
    runtime: int  # minutes


class Workload(NamedTuple):
    """What determines the work of a run's jobs."""

    study: Study
    run: Run
    shapes: Shapes
    gpu: bool  # whether the job requests a GPU
    # What only jobs that read the data set need: there are none with activations in files of the user's own.
    values: int = 0  # of a sample
    data: int = 0  # bytes of all samples of the data set, also those that the run leaves out
    model: ModelSummary | None = None


def make_workload(study, run, gpu=False):
    """Return the Workload of a Run of a Study."""
    shapes = study.shapes_of(run)
    if study.has_own_activations:
        return Workload(study, run, shapes, gpu)
    data = data_set(run.settings.dataset)
    values = math.prod(data.shape)
    bytes_of_value = 8 if data.vocabulary else 1 if data.mean else 4
    samples = sum(full_data_set(run.settings.dataset).sizes.values())
    data_bytes = bytes_of_value * values * samples
    return Workload(study, run, shapes, gpu, values, data_bytes, study.model_of(run))


def resource_requests(studies, config, rules_on_gpu):
    """Return a function (rule, wildcards) -> Request. The wildcards, {name: value}, matter for the jobs of a run.

    studies: {name: Study}; config: the Config; rules_on_gpu: the rules whose jobs each have a GPU.
    """
    for_tables = requests_for_tables(studies.values(), config)

    @functools.cache
    def workload(study, run, gpu):
        return make_workload(studies[study], studies[study].runs[run], gpu)

    @functools.cache  # Snakemake asks for memory and for time
    def for_run(rule, study, run, *values):
        return JOBS[rule](workload(study, run, rule in rules_on_gpu), *values)

    def request_for(rule, wildcards):
        if rule not in JOBS:
            return for_tables(rule)
        return for_run(rule, wildcards["study"], wildcards["run"], *(wildcards[name] for name in WILDCARDS[rule]))

    return request_for


def requests_for_tables(studies, config):
    """Return a function rule -> Request for the jobs that are not of a single run.

    They gather or draw tables, which grow with the number of results; the plan runs a Snakemake that plans all jobs.
    """
    rows = count_rows(studies, config.estimators)
    table = shared_request(PANDAS, BYTES_OF_ROW * rows, seconds=SECONDS_OF_ROW * rows)
    seconds = SLOWER * SECONDS_OF_PLANNED_JOB * rows
    planning = request(SNAKEMAKE, BYTES_OF_PLANNED_JOB * rows, seconds=seconds)
    return lambda rule: planning if rule == "plan" else table


def count_rows(studies, estimators):
    """Return the most rows that the tables of studies have together: of estimates, of epochs, of other measures."""
    rows = 0
    for study in studies:
        for run in study.runs.values():
            layers, sets = len(study.layers_of(run)), sample_sets(study.activations)
            groups = study.shapes_of(run).classes if study.activations.by_class else 1
            rows += layers * len(sets) * groups * (len(estimators) + 1)
            rows += sum(len(stage.evaluated(run.settings.training.evaluate_every)) for stage in study.stages)
            rows += sum(len(files_of_measure(study, run, measure)) for measure in MEASURES.values() if measure.work)
    return rows


def train(workload, until):
    """Request for the samples; weights, gradients, optimizer and a snapshot of them; activations.

    Activations are those of a batch and of an evaluation, because memory that a batch has freed is kept in pieces, of
    which an evaluation can use few. A step computes three times as much as a forward pass.
    """
    model, sizes = workload.model, workload.shapes.sizes
    stage, training = workload.study.stage_until(int(until)), workload.run.settings.training
    batch = min(training.batch_size, sizes["train"])
    per_unit = max(1, sizes["train"] // batch) if workload.study.unit == "epochs" else 1
    step = forward_seconds(workload, 3 * batch) + 1e-8 * model.parameters + SECONDS_OF_STEP
    evaluations = len(stage.evaluated(training.evaluate_every))
    seconds = (stage.until - stage.start) * per_unit * step
    seconds += evaluations * forward_seconds(workload, sum(sizes.values()))
    evaluated = max(1, min(EVALUATED_SAMPLES, EVALUATED_VALUES // workload.values))
    activations = 2 * batch * model.saved + 6 * evaluated * model.largest
    return request_with_samples(workload, 24 * model.parameters, activations, seconds=seconds)


def dump_activations(workload, samples):
    """Request for the samples, the model, its checkpoint, and a batch of all layers.

    A batch is there three times: as computed, as stored, and while it is written.
    """
    _, _, split = dump_of(samples)
    n, features = workload.shapes.sizes[split], sum(workload.shapes.layers.values())
    seconds = forward_seconds(workload, n) + 4 * n * features / STORING
    batch = DUMPED_AT_ONCE * (16 * features + 4 * workload.model.largest)
    return request_with_samples(workload, 24 * workload.model.parameters, batch, seconds=seconds)


def import_activations(workload, samples):
    """Request for a piece of a file as stored, as floats and while it is written; torch reads some of the files."""
    values = workload.shapes.sizes[dump_of(samples)[2]] * sum(workload.shapes.layers.values())
    return request(TORCH, 4 * PIECE, seconds=8 * values / STORING)


def find_neighbors(workload, samples, layer):
    """Request for the costliest of the methods that may run: an exact search may follow an approximate one."""
    search, n, features = workload.study.neighbors, n_points(workload, samples), workload.shapes.layers[layer]
    method = neighbors.METHODS[search.method]
    if method is neighbors.auto:
        method = neighbors.fastest_method(n, features)
    methods = {method, neighbors.exact}
    memory = [search_memory(method, n, features, search.k) for method in methods]
    # The scale check searches among half of the points.
    memory.append(2 * n * features + search_memory(neighbors.exact, n // 2, features, 2))
    points_of_class = 4 * n * features if samples.endswith(BY_CLASS) else 0
    groups = workload.shapes.classes if points_of_class else 1
    seconds = max(neighbors.expected_seconds(method, n, features) for method in methods)
    return shared_request(NUMPY, max(memory), points_of_class, seconds=SLOWER * (seconds + 3 * groups))


def search_memory(method, n, features, k):
    """Return the bytes that a search for neighbors holds.

    exact: some columns of all points, as stored, as float32, as operands and of a block; all columns, where they are
    read once; the products of a block; candidates. pynndescent: all points three times as float32; its lists.
    sketch: the same columns; the sums, and their rotation; the products of the sample; lists of candidates.
    """
    points = 4 * n * features
    if method is neighbors.pynndescent:
        return NUMBA + 3 * points + 60 * n * (k + 1)
    if method is neighbors.sketch:
        sums = 4 * n * min(features, sketch.SUMS[-1])
        held = min(sums, sketch.SUM_BYTES) + 4 * n * min(features, max(sketch.AXES))
        sample = 3 * min(4 * n * AUDITED, sketch.SAMPLE_BYTES)
        return NUMBA + 3 * min(points, CHUNK_BYTES) + held + sample + 100 * n * (k + 1)
    libraries = (NUMBA if n * features > WORTH_NUMBA / 3 else 0) + (TORCH if n * n * features > WORTH_TORCH else 0)
    held = points if 4 * n * n > PRODUCT_BYTES and points <= HELD_BYTES else 0
    return libraries + 4 * min(points, CHUNK_BYTES) + held + min(4 * n * n, PRODUCT_BYTES) + 100 * n * (k + 1)


def estimate_id(workload, samples):
    """Request for the lists and what is made of them; twonn_fit reads all of them in every subsample."""
    n, k = n_points(workload, samples), workload.study.neighbors.k
    return shared_request(NUMPY, 32 * n * k, seconds=SLOWER * (2 + 2e-6 * n * k))


def estimate_null(workload, samples, layer):
    """Request for Gaussian points with as many features as the layer, a search for their neighbors, and an estimate."""
    n, features = n_points(workload, samples), workload.shapes.layers[layer]
    draws = min(MOST_DRAWS, max(1, DRAWN_POINTS // n))
    searching = find_neighbors(workload, samples, layer).mem_mb * 1e6 / MARGIN
    seconds = SLOWER * (2 + draws * neighbors.expected_seconds(neighbors.exact, n, features))
    return shared_request(searching, 8 * n * min(n, features), seconds=seconds)


def measure_neighborhoods(workload, samples):
    """Request for the lists of all layers, and what two of them have in common."""
    n, k, layers = n_points(workload, samples), workload.study.neighbors.k, len(workload.shapes.layers)
    memory = n * (8 * k * layers + 100 * k + 8 * workload.shapes.classes)
    return shared_request(NUMPY, memory, seconds=SLOWER * (2 + 1e-6 * n * k * layers))


def estimate_pca(workload, samples, layer):
    """Request for some of the points, and the matrix whose eigenvalues are taken; see estimators/pca.py."""
    n, features = n_points(workload, samples), workload.shapes.layers[layer]
    short, long = sorted((n, features))
    chunk = min(4 * n * features, PCA_CHUNK)
    seconds = SLOWER * (1 + 6e-11 * short**2 * (2 * long + 2 * short))
    return shared_request(NUMPY, 4 * chunk, 24 * short**2, seconds=seconds)


def take_measure(workload, layer=None, *, measure):
    """Request for the samples, the model, its checkpoint, and the measure's own Work; see measures.work."""
    settings = getattr(workload.study.measures, measure.name)
    model = summarize_model(workload.run.settings, settings.layers) if layer else workload.model
    work = measure.work(settings, model, workload.shapes.sizes, workload.shapes.classes, layer)
    seconds = SLOWER * work.flops / FLOPS + forward_seconds(workload, work.passes)
    floor = SHARED_FLOOR if layer else FLOOR
    return request_with_samples(workload, 24 * model.parameters, work.memory, seconds=seconds, floor=floor)


MEASURED = {measure.rule: measure for measure in MEASURES.values() if measure.work}
OF_RUNS = (
    train,
    dump_activations,
    import_activations,
    find_neighbors,
    estimate_id,
    estimate_pca,
    estimate_null,
    measure_neighborhoods,
)
JOBS = {job.__name__: job for job in OF_RUNS}
WILDCARDS = {rule: list(inspect.signature(job).parameters)[1:] for rule, job in JOBS.items()}
for rule, measure in MEASURED.items():
    JOBS[rule] = functools.partial(take_measure, measure=measure)
    WILDCARDS[rule] = re.findall(r"{(layer)}", measure.path)


def request(*memory, seconds, floor=FLOOR):
    """Return the Request of a job that holds so many bytes and takes so many seconds; megabytes by the hundred."""
    return Request(100 * math.ceil(MARGIN * sum(memory) / 1e8), max(floor, math.ceil(seconds / 60)))


shared_request = functools.partial(request, floor=SHARED_FLOOR)


def request_with_samples(workload, *memory, seconds, floor=FLOOR):
    """Return the Request of a job that uses torch and reads the data set: as stored, as chosen, and while reading."""
    libraries = TRAINING + (CUDA if workload.gpu else 0)
    seconds += workload.data / READING
    return request(libraries, 3 * workload.data, *memory, seconds=seconds, floor=floor)


def n_points(workload, samples):
    """Return the number of points of a set of samples; also of one by class, because a class may have any size."""
    _, _, split = dump_of(samples)
    return workload.shapes.sizes[split]


def forward_seconds(workload, samples):
    """Return the seconds of a forward pass over so many samples."""
    rates = GPU_RATES if workload.gpu else [workload.run.settings.training.threads * rate for rate in CPU_RATES]
    return samples * (workload.model.flops / rates[0] + workload.model.saved / rates[1])
