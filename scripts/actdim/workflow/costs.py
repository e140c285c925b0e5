"""What a study will cost: bytes on disk and seconds of work, by a few timed steps of each kind of run."""

import io
import json
import time
from typing import NamedTuple

import h5py
import numpy as np
import torch

from actdim import plugins
from actdim.activations.dump import write
from actdim.datasets.dataset import Split, data_set
from actdim.datasets.device import on_device
from actdim.measures.table import MEASURES
from actdim.models.layers import layer_names
from actdim.models.summary import summarize_model
from actdim.names import BY_CLASS, PCA
from actdim.neighbors import search as neighbors
from actdim.neighbors.decimation import DIVISORS
from actdim.provenance import made_by
from actdim.storage.hdf5 import IN_MEMORY
from actdim.study.measures import modules_of
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
from actdim.training import checkpoints
from actdim.training.batches import batches
from actdim.training.loop import EVALUATION_BATCH, evaluate, snapshot
from actdim.training.reproducible import make_deterministic
from actdim.training.stages import TrainingJob
from actdim.training.step import begin, train_step
from actdim.workflow.resources import FLOPS

START_UP = time.process_time()  # seconds to import what train and dump_activations import, once this module is


OTHER = 1.0  # seconds of any other job


HDF5 = 8_000  # bytes of an HDF5 file beside its data


CHECKSUM, LABEL_AND_INDEX = 8, 16  # bytes of each row of activations; of each sample


class Measured(NamedTuple):
    """What a kind of run takes on this device."""

    step: float  # seconds of a training step
    evaluation: float  # seconds a sample
    dump: float  # seconds a sample
    activations: int  # bytes a sample
    checkpoints: tuple[int, int]  # bytes of one before the first step, and of one after it
    passes: dict[tuple[str, str], float]  # {(measure, layer): seconds a sample} that differ from `evaluation`


class Cost(NamedTuple):
    """What one output costs."""

    seconds: float
    threads: int
    size: int  # bytes


def costs_of(study):
    """Return {path: Cost} of the outputs of a study that cost more than a moment or a few kilobytes."""
    measured, costs = {}, {}
    for run in study.runs.values():
        kind = kind_of(run.settings)
        if kind not in measured:
            measured[kind] = measure(study, run)
        costs.update(costs_of_run(study, run, measured[kind]))
    return costs


def kind_of(settings):
    """Return a text that is the same for runs of one cost: floats do not count (the rate of dropout, weight decay).

    But momentum needs a buffer, and so does its checkpoint.
    """
    data = data_set(settings.dataset)
    altered = {key: bool(value) for key, value in settings.dataset.augmentation}
    training = settings.training.model_dump(mode="json", exclude={"schedule", "evaluate_every"})
    training["momentum"] = settings.training.momentum > 0
    samples = samples_made_up(data, settings.training.batch_size)
    kind = [data._replace(sizes=samples, load=None), altered, settings.model.model_dump(mode="json"), training]
    return json.dumps(without_floats(kind), sort_keys=True)


def without_floats(value):
    """Return nested plain values with None for every float."""
    if isinstance(value, dict):
        return {key: without_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_floats(item) for item in value]
    return None if isinstance(value, float) else value


def measure(study, run):
    """Return the Measured of a run: of a few steps, an evaluation and a dump on made-up samples, nothing written."""
    # Compiling would take a minute; what it gains is not counted.
    training = run.settings.training.model_copy(update={"compile": False})
    settings = run.settings.model_copy(update={"training": training})
    make_deterministic(training.threads)
    samples = made_up(data_set(settings.dataset), training.batch_size)
    learner = begin(settings, samples)

    def step(number):
        train_step(learner, samples, settings, number, batches(len(samples.labels), training.batch_size))

    fresh = size_of_checkpoint(study, run, learner, {})
    steps = [0.0]  # of a model that is not trained
    if study.stages[-1].until > 0:
        timed(step, 0)  # the first one also prepares
        steps = [timed(step, 1)]
        while sum(steps) < 1 and len(steps) < 20:
            steps.append(timed(step, len(steps) + 1))
    n = EVALUATION_BATCH if 0 < steps[-1] < 0.2 else 64
    few = samples._replace(inputs=samples.inputs[:n], labels=samples.labels[:n])
    metrics = {}
    evaluation = timed(lambda: metrics.update(evaluate(learner, {"train": few, "validation": few}, training)))
    dump, of_sample = measure_dump(learner.model, few, layer_names(learner.model, study.activations.layers))
    evaluation /= 2 * len(few.labels)
    rows = {
        unit: {"learning_rate": training.lr, **metrics}
        for stage in study.stages
        for unit in stage.evaluated(training.evaluate_every)
    }
    return Measured(
        step=min(steps),
        evaluation=evaluation,
        dump=dump / len(few.labels),
        activations=of_sample,
        checkpoints=(fresh, size_of_checkpoint(study, run, learner, rows)),
        passes=time_passes(study, run, learner.model, few, evaluation),
    )


def made_up(data, batch_size):
    """Return random training Samples of a DataSet on the device that training would take."""
    random = np.random.default_rng(0)
    n = samples_made_up(data, batch_size)
    if data.vocabulary:
        inputs = random.integers(data.vocabulary, size=(n, *data.shape))
    elif data.mean:
        inputs = random.integers(256, size=(n, *data.shape), dtype=np.uint8)
    else:
        inputs = random.standard_normal((n, *data.shape), dtype=np.float32)
    split = Split(inputs, random.integers(data.classes, size=n), np.arange(n))
    return on_device(split, data, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def samples_made_up(data, batch_size):
    """Return the number of samples with which a few steps are timed."""
    return min(data.sizes["train"], max(batch_size, EVALUATION_BATCH))


def timed(work, *arguments):
    """Return the seconds that work(*arguments) takes, the device's part included."""
    begun = time.perf_counter()
    work(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def measure_dump(model, samples, layers):
    """Return (seconds, bytes a sample) of the activations of samples, in memory."""
    single = set()
    while True:
        with h5py.File("activations", "w", driver=IN_MEMORY, backing_store=False) as file:
            begun = time.perf_counter()
            misfits = write(file, model, samples, layers, single)
            if not misfits:
                stored = [file["logits"], *(file[f"layers/{layer}"] for layer in layers)]
                of_values = sum(data.dtype.itemsize * data.shape[1] + CHECKSUM for data in stored)
                return time.perf_counter() - begun, of_values + LABEL_AND_INDEX
        single |= misfits


def time_passes(study, run, model, samples, evaluation):
    """Return {(measure, layer): seconds} of the forward passes of a sample that differ from those of an evaluation."""
    samples = samples._replace(inputs=samples.inputs[:64], labels=samples.labels[:64])
    seconds = {}
    for measure in MEASURES.values():
        settings = getattr(study.measures, measure.name, None)
        if settings and measure.pass_seconds:
            for layer in modules_of(run, settings.layers):
                seconds[measure.name, layer] = measure.pass_seconds(model, layer, samples, evaluation)
    return seconds


def size_of_checkpoint(study, run, learner, metrics):
    """Return the bytes of a checkpoint as training would save it."""
    job = TrainingJob(
        study=study.name,
        chosen=run.chosen,
        settings=run.settings,
        unit=study.unit,
        stage=study.stages[-1],
        made_by=made_by(
            "train.py", *plugins.run_functions(run.settings), settings=run.counted, libraries=("torch", "numpy")
        ),
    )
    counter = Counter()
    torch.save({"format": checkpoints.FORMAT, **snapshot(job, 0, metrics, learner)}, counter)
    return counter.size


class Counter(io.RawIOBase):
    """A file that keeps nothing but its size."""

    size = 0

    def writable(self):
        return True

    def write(self, content):
        self.size += memoryview(content).nbytes
        return memoryview(content).nbytes


def costs_of_run(study, run, measured):
    """Return {path: Cost} of what a run leaves, but for estimates from neighbor lists, which take a moment."""
    training, sizes = run.settings.training, data_set(run.settings.dataset).sizes
    at = {"study": study.name, "run": run.name}
    costs = {}
    per_unit = batches(sizes["train"], training.batch_size) if study.unit == "epochs" else 1
    for stage in study.stages:
        steps, rows = (stage.until - stage.start) * per_unit, len(stage.evaluated(training.evaluate_every))
        seconds = steps * measured.step + rows * sum(sizes.values()) * measured.evaluation
        size = sum(measured.checkpoints[kept > 0] for kept in stage.kept)
        costs[CHECKPOINTS.format(**at, until=stage.until)] = Cost(START_UP + seconds, training.threads, size)
    layers = study.model_of(run).layers
    costs.update(costs_of_measures(study, run, measured))
    for samples in sample_sets(study.activations):
        name, _, split = dump_of(samples)
        n = sizes[split]
        costs[ACTIVATIONS.format(**at, samples=name)] = Cost(
            START_UP + n * measured.dump, training.threads, n * measured.activations + HDF5
        )
        groups = data_set(run.settings.dataset).classes if samples.endswith(BY_CLASS) else 1
        for layer, features in layers.items():
            place = {**at, "samples": samples, "layer": layer}
            costs[NEIGHBORS.format(**place)] = cost_of_neighbors(study.neighbors, n, features, groups)
            products = n / groups * n * features if n / groups < features else n * features**2
            costs[ID.format(**place, estimator=PCA)] = Cost(OTHER + 6e-11 * products, 1, 0)
    return costs


def costs_of_measures(study, run, measured):
    """Return {path: Cost} of the measures that are taken of a run's checkpoints."""
    costs, data, threads = {}, data_set(run.settings.dataset), run.settings.training.threads
    for measure in MEASURES.values():
        settings = getattr(study.measures, measure.name, None)
        if not settings:
            continue
        model = summarize_model(run.settings, getattr(settings, "layers", study.activations.layers))
        for path in files_of_measure(study, run, measure):
            layer = wildcards_of(measure.rule, path).get("layer")
            work = measure.work(settings, model, data.sizes, data.classes, layer)
            seconds = work.passes * measured.passes.get((measure.name, layer), measured.evaluation) + work.flops / FLOPS
            costs[path] = Cost(START_UP + seconds, threads, 0)
    return costs


def cost_of_neighbors(search, n, features, groups):
    """Return the Cost of neighbor lists of n points in groups of one size, each searched by itself."""
    methods = [neighbors.METHODS[search.method]]
    if search.method == "auto":
        methods = [neighbors.exact, neighbors.pynndescent]

    def seconds(method):
        start_up = neighbors.expected_seconds(method, 0, features)
        return start_up + groups * (neighbors.expected_seconds(method, n // groups, features) - start_up)

    of_point = 8 * min(search.k, n // groups - 1) + sum(8 / divisor for divisor in DIVISORS) + (8 if groups > 1 else 0)
    return Cost(min(map(seconds, methods)), 1, int(n * of_point) + groups * HDF5)
