"""Training: a plain loop that can be killed at any moment and still ends with the same weights."""

import csv
import math
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import normalize, on_device
from actdim.random_numbers import random_states, restore_random_states
from actdim.storage.atomic import atomic_write
from actdim.storage.csv_checksums import write_table_checksum
from actdim.storage.working_folder import locked_working_folder, publish
from actdim.training import checkpoints, resume
from actdim.training.batches import batches
from actdim.training.limits import EVALUATED_SAMPLES, EVALUATED_VALUES
from actdim.training.reproducible import keep_memory, make_deterministic
from actdim.training.step import begin, learning_rate, mixed_precision, train_step


def train(run, output, previous=None, save_every=10.0):
    """Train one stage of a run; leave its kept checkpoints, metrics.csv and run.json in the folder `output`.

    run: the TrainingJob; previous: the last checkpoint of the stage before, if there is one;
    save_every: seconds between resume states.

    It works in the stage's working folder (see storage.working_folder) and trains only what is not intact there.
    Raises UserError if `output` holds something else.
    """
    output = Path(output)
    resume.require_free_output(output, run)
    with locked_working_folder(output) as folder:
        resume.claim(folder, run)
        if missing := resume.missing_units(folder, run):
            train_missing(run, folder, missing, previous, save_every)
        else:
            print(f"nothing to train: {folder} has all checkpoints", flush=True)
        write_metrics(run, folder)
        resume.remove_states(folder)
        publish(folder, resume.files_of(run), output)


def train_missing(run, folder, missing, previous, save_every):
    """Train until a run's missing checkpoints are in its working folder."""
    training, stage = run.settings.training, run.stage
    make_deterministic(training.threads)
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = load_data(run.settings, device)
    learner = begin(run.settings, data["train"])
    per_unit = batches(len(data["train"].labels), training.batch_size) if run.unit == "epochs" else 1
    state = resume.state_to_go_on_from(folder, run, missing[0], per_unit, previous, device)
    step, metrics = restore(state, learner) if state else (0, {})

    until, evaluated = missing[-1] * per_unit, set(stage.evaluated(training.evaluate_every))
    print(f"training on {device} from {run.unit[:-1]} {step / per_unit:g} to {missing[-1]}", flush=True)
    first, begun = step, time.monotonic()
    saved = begun
    while True:
        unit, rest = divmod(step, per_unit)
        keep = rest == 0 and unit in stage.kept
        # A state that training goes on from has the metrics of its step. The model may draw random numbers in
        # evaluation, so to evaluate it again would shift those of training.
        if rest == 0 and unit not in metrics and (keep or unit in evaluated):
            metrics[unit] = take_metrics(learner, data, training, step, per_unit)
            print(progress(run, unit, metrics[unit], step - first, until - step, time.monotonic() - begun), flush=True)
        if keep and unit in missing:
            checkpoints.save(folder / checkpoints.file_name(unit), snapshot(run, step, metrics, learner))
        if step == until:
            break
        if time.monotonic() - saved >= save_every:
            checkpoints.save(folder / resume.STATE, snapshot(run, step, metrics, learner))
            saved = time.monotonic()
        train_step(learner, data["train"], run.settings, step, per_unit)
        step += 1


def load_data(settings, device):
    """Return {split: Samples} of a run on the device."""
    data = data_set(settings.dataset)
    splits = load_samples(settings.dataset, settings.seed)
    return {name: on_device(split, data, device) for name, split in splits.items()}


def take_metrics(learner, data, training, step, per_unit):
    """Return the learning rate at a step and what `evaluate` returns.

    Losses and accuracies before training are nan, with the `reason`, where they mean nothing: the model says so in its
    attribute `no_accuracy`.
    """
    metrics = {"learning_rate": learning_rate(training, step, per_unit), **evaluate(learner, data, training)}
    why = getattr(learner.model, "no_accuracy", None)
    if step == 0 and why:
        metrics |= {name: math.nan for name in metrics if name.endswith(("_loss", "_accuracy"))}
        metrics["reason"] = f"losses and accuracies: {why}"
    return metrics


@torch.no_grad()
def evaluate(learner, data, training):
    """Return mean cross-entropy (nats) and accuracy on each split: train_loss, train_accuracy, ...

    With a bottleneck also its mean reconstruction error over batches: train_reconstruction_error, ...
    """
    learner.model.eval()
    result = {}
    for split, samples in data.items():
        logits, errors = [], []
        size = max(1, min(EVALUATED_SAMPLES, EVALUATED_VALUES // samples.inputs[0].numel()))
        for batch in samples.inputs.split(size):
            with mixed_precision(training, batch.device):
                logits.append(learner.model(normalize(batch, samples)).float())
            if learner.autoencoder:
                errors.append(learner.autoencoder.error(learner.watched["values"]))
        logits = torch.cat(logits)
        result[f"{split}_loss"] = cross_entropy(logits, samples.labels).item()
        result[f"{split}_accuracy"] = (logits.argmax(1) == samples.labels).double().mean().item()
        if errors:
            result[f"{split}_reconstruction_error"] = torch.stack(errors).mean().item()
    return result


def progress(run, unit, row, done, left, seconds):
    """Return the log's line for a row of metrics, with the time left at the speed so far."""
    rest = f"{seconds / done * left:.0f} s left" if done else ""
    accuracies = (
        f"{split} loss {row[f'{split}_loss']:.4f} accuracy {row[f'{split}_accuracy']:.4f}"
        for split in ("train", "validation")
    )
    return f"{run.unit[:-1]} {unit}/{run.stage.until}  {'  '.join(accuracies)}  {rest}"


def snapshot(run, step, metrics, learner):
    """Return everything that training needs to continue from here."""
    return {
        "run": run.model_dump_json(),
        "step": step,
        "metrics": metrics,
        "model": learner.model.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "autoencoder": learner.autoencoder and learner.autoencoder.state_dict(),
        "random": random_states(),
    }


def restore(state, learner):
    """Bring a Learner and the random states to a saved state; return (step, metrics)."""
    learner.model.load_state_dict(state["model"])
    learner.optimizer.load_state_dict(state["optimizer"])
    if learner.autoencoder:
        learner.autoencoder.load_state_dict(state["autoencoder"])
    restore_random_states(state["random"])
    return state["step"], state["metrics"]


def write_metrics(run, folder):
    """Write what a stage's checkpoints say of losses and accuracies to metrics.csv: a row for each evaluation."""
    metrics = {}
    for unit in run.stage.kept:
        metrics |= checkpoints.load_metrics(folder / checkpoints.file_name(unit))
    rows = [{run.unit[:-1]: unit, **metrics[unit]} for unit in sorted(metrics) if unit >= run.stage.first_row]
    path = folder / "metrics.csv"
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
        file.close()
        write_table_checksum(temporary, path)
