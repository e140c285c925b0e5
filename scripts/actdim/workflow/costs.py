"""What a study will cost: bytes on disk and seconds of work, from a few timed steps of each kind of run."""

import io
import json
import time
from typing import NamedTuple

import h5py
import numpy as np
import torch

from actdim import plugins
from actdim.activations.dump import write_activations
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
from actdim.study.own_activations import arrays_of_files
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
from actdim.training.limits import EVALUATED_SAMPLES
from actdim.training.loop import evaluate, snapshot
from actdim.training.reproducible import make_deterministic
from actdim.training.stages import TrainingJob
from actdim.training.step import begin, train_step
from actdim.workflow.resources import FLOPS

START_UP = time.process_time()  # seconds in which this module was imported, with what train and dump_activations import
OTHER_JOB = 1.0  # seconds of any other job
HDF5_OVERHEAD = 8_000  # bytes of an HDF5 file besides its data
READING = 1e9  # bytes a second of files on a local disk (not measured)
CHECKSUM, LABEL_AND_INDEX = 8, 16  # bytes of each row of activations; of each sample


class Timings(NamedTuple):
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


def study_costs(study):
    """Return {path: Cost} of the outputs of a study that cost more than a moment or a few kilobytes."""
    timings, costs = {}, {}
    for run in study.runs.values():
        costs.update(analysis_costs(study, run))
        if study.has_own_activations:
            costs.update(import_costs(study, run))
            continue
        kind = kind_of(run.settings)
        if kind not in timings:
            timings[kind] = time_run(study, run)
        costs.update(run_costs(study, run, timings[kind]))
    return costs


def kind_of(settings):
    """Return a text that is the same for the RunSettings of runs that cost the same.

    Floats such as the rate of dropout or weight decay do not matter; momentum does, because it needs a buffer.
    """
    data = data_set(settings.dataset)
    altered = {key: bool(value) for key, value in settings.dataset.augmentation}
    training = settings.training.model_dump(mode="json", exclude={"schedule", "evaluate_every"})
    training["momentum"] = settings.training.momentum > 0
    samples = n_random_samples(data, settings.training.batch_size)
    kind = [data._replace(sizes=samples, load=None), altered, settings.model.model_dump(mode="json"), training]
    return json.dumps(without_floats(kind), sort_keys=True)


def without_floats(value):
    """Return nested plain values with None for every float."""
    if isinstance(value, dict):
        return {key: without_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_floats(item) for item in value]
    return None if isinstance(value, float) else value


def time_run(study, run):
    """Return the Timings of a run from a few steps, an evaluation and a dump on random samples. Writes nothing."""
    # Compiling takes a minute; what it gains is not counted.
    training = run.settings.training.model_copy(update={"compile": False})
    settings = run.settings.model_copy(update={"training": training})
    make_deterministic(training.threads)
    samples = random_samples(data_set(settings.dataset), training.batch_size)
    learner = begin(settings, samples)
    fresh_checkpoint = checkpoint_size(study, run, learner, {})
    step = time_step(learner, samples, settings) if study.stages[-1].until > 0 else 0.0
    n = EVALUATED_SAMPLES if 0 < step < 0.2 else 64
    first = samples._replace(inputs=samples.inputs[:n], labels=samples.labels[:n])
    metrics = {}
    evaluation = seconds_of(lambda: metrics.update(evaluate(learner, {"train": first, "validation": first}, training)))
    evaluation /= 2 * len(first.labels)
    dump, sample_bytes = time_dump(learner.model, first, layer_names(learner.model, study.activations.layers))
    rows = {
        unit: {"learning_rate": training.lr, **metrics}
        for stage in study.stages
        for unit in stage.evaluated(training.evaluate_every)
    }
    return Timings(
        step=step,
        evaluation=evaluation,
        dump=dump / len(first.labels),
        activations=sample_bytes,
        checkpoints=(fresh_checkpoint, checkpoint_size(study, run, learner, rows)),
        passes=time_passes(study, run, learner.model, first, evaluation),
    )


def random_samples(data, batch_size):
    """Return random training Samples of a DataSet on the device that training would take."""
    random = np.random.default_rng(0)
    n = n_random_samples(data, batch_size)
    if data.vocabulary:
        inputs = random.integers(data.vocabulary, size=(n, *data.shape))
    elif data.mean:
        inputs = random.integers(256, size=(n, *data.shape), dtype=np.uint8)
    else:
        inputs = random.standard_normal((n, *data.shape), dtype=np.float32)
    split = Split(inputs, random.integers(data.classes, size=n), np.arange(n))
    return on_device(split, data, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def n_random_samples(data, batch_size):
    """Return the number of samples with which steps are timed."""
    return min(data.sizes["train"], max(batch_size, EVALUATED_SAMPLES))


def time_step(learner, samples, settings):
    """Return the seconds of the fastest of some training steps; the first one, which also prepares, does not count."""
    per_epoch = batches(len(samples.labels), settings.training.batch_size)
    times = []
    while len(times) < 2 or (sum(times[1:]) < 1 and len(times) < 21):
        times.append(seconds_of(train_step, learner, samples, settings, len(times), per_epoch))
    return min(times[1:])


def time_dump(model, samples, layers):
    """Return (seconds, bytes a sample) of a dump of activations in memory."""
    float32_layers = set()
    while True:
        with h5py.File("activations", "w", driver=IN_MEMORY, backing_store=False) as file:
            begin = time.perf_counter()
            misfits = write_activations(file, model, samples, layers, float32_layers)
            if not misfits:
                stored = [file["logits"], *(file[f"layers/{layer}"] for layer in layers)]
                row_bytes = sum(data.dtype.itemsize * data.shape[1] + CHECKSUM for data in stored)
                return time.perf_counter() - begin, row_bytes + LABEL_AND_INDEX
        float32_layers |= misfits


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


def seconds_of(function, *arguments):
    """Return the seconds that a call takes, those of the device included."""
    begin = time.perf_counter()
    function(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def checkpoint_size(study, run, learner, metrics):
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
    file = SizeOnly()
    torch.save({"format": checkpoints.FORMAT, **snapshot(job, 0, metrics, learner)}, file)
    return file.size


class SizeOnly(io.RawIOBase):
    """A file that keeps nothing but its size."""

    size = 0

    def writable(self):
        return True

    def write(self, content):
        self.size += memoryview(content).nbytes
        return memoryview(content).nbytes


def run_costs(study, run, timings):
    """Return {path: Cost} of a run's trainings, dumps and measures of checkpoints."""
    training, data = run.settings.training, data_set(run.settings.dataset)
    wildcards = {"study": study.name, "run": run.name}
    costs = measure_costs(study, run, timings)
    per_unit = batches(data.sizes["train"], training.batch_size) if study.unit == "epochs" else 1
    for stage in study.stages:
        steps, rows = (stage.until - stage.start) * per_unit, len(stage.evaluated(training.evaluate_every))
        seconds = START_UP + steps * timings.step + rows * sum(data.sizes.values()) * timings.evaluation
        size = sum(timings.checkpoints[kept > 0] for kept in stage.kept)
        costs[CHECKPOINTS.format(**wildcards, until=stage.until)] = Cost(seconds, training.threads, size)
    for samples in sample_sets(study.activations):
        dump, _, split = dump_of(samples)
        n = data.sizes[split]
        seconds, size = START_UP + n * timings.dump, n * timings.activations + HDF5_OVERHEAD
        costs[ACTIVATIONS.format(**wildcards, samples=dump)] = Cost(seconds, training.threads, size)
    return costs


def import_costs(study, run):
    """Return {path: Cost} of the imports of a run's activations, which read all values and copy some of them."""
    costs, wildcards = {}, {"study": study.name, "run": run.name}
    for samples, files in run.settings.files.items():
        arrays = list(arrays_of_files(files).values())
        seconds = OTHER_JOB + sum(array.bytes_as_floats for array in arrays) / READING
        copied = sum(array.bytes_as_floats for array in arrays if not array.in_place)
        size = copied + len(arrays) * CHECKSUM * arrays[0].shape[0] + HDF5_OVERHEAD
        costs[ACTIVATIONS.format(**wildcards, samples=samples)] = Cost(seconds, 1, size)
    return costs


def analysis_costs(study, run):
    """Return {path: Cost} of a run's neighbor lists and principal components; other estimates take a moment."""
    costs, wildcards, shapes = {}, {"study": study.name, "run": run.name}, study.shapes_of(run)
    for samples in sample_sets(study.activations):
        n = shapes.sizes[dump_of(samples)[2]]
        groups = max(1, shapes.classes) if samples.endswith(BY_CLASS) else 1
        for layer, features in shapes.layers.items():
            of_layer = {**wildcards, "samples": samples, "layer": layer}
            costs[NEIGHBORS.format(**of_layer)] = neighbors_cost(study.neighbors, n, features, groups)
            products = n / groups * n * features if n / groups < features else n * features**2
            costs[ID.format(**of_layer, estimator=PCA)] = Cost(OTHER_JOB + 6e-11 * products, 1, 0)
    return costs


def measure_costs(study, run, timings):
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
            seconds = work.passes * timings.passes.get((measure.name, layer), timings.evaluation) + work.flops / FLOPS
            costs[path] = Cost(START_UP + seconds, threads, 0)
    return costs


def neighbors_cost(search, n, features, groups):
    """Return the Cost of neighbor lists of n points in groups of one size, each searched by itself."""
    methods = [neighbors.METHODS[search.method]]
    if search.method == "auto":
        methods = [neighbors.exact, neighbors.sketch, neighbors.pynndescent]

    def seconds(method):
        start_up = neighbors.expected_seconds(method, 0, features)
        return start_up + groups * (neighbors.expected_seconds(method, n // groups, features) - start_up)

    point_bytes = (
        8 * min(search.k, n // groups - 1) + sum(8 / divisor for divisor in DIVISORS) + (8 if groups > 1 else 0)
    )
    return Cost(min(map(seconds, methods)), 1, int(n * point_bytes) + groups * HDF5_OVERHEAD)
