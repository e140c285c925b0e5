"""Training: a plain loop that can be killed at any moment and still ends with the same weights."""

import csv
import json
import os
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import normalize, on_device
from actdim.errors import UserError
from actdim.storage.atomic import AGAIN, TRAIN_AGAIN, atomic_write, flush, try_lock
from actdim.storage.csv_checksums import seal_table
from actdim.storage.json_files import read_json, write_json
from actdim.training import checkpoints
from actdim.training.batches import batches
from actdim.training.reproducible import keep_memory, make_deterministic
from actdim.training.stages import TrainingJob
from actdim.training.step import begin, learning_rate, mixed_precision, train_step
from actdim.validation import check


def resume_of(checkpoints):
    """Return the folder in which a training gathers its checkpoints until the stage is complete."""
    return Path(f"{checkpoints}.resume")


EVALUATION_BATCH = 1024


EVALUATION_VALUES = 1 << 22  # in a batch, for large images fill the memory


def train(run, output, previous=None, save_every=10.0):
    """Train one stage of a run; leave its kept checkpoints and metrics.csv in the folder `output`.

    run: the TrainingJob; previous: the checkpoint to go on from, where another stage comes before;
    save_every: seconds between resume states.

    All lies in `<output>.resume` until the stage is complete; that folder states the run it belongs to, and a
    stage that was killed goes on from there. Raises UserError where `output` is there already.
    """
    output, resume = Path(output), resume_of(output)
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output}: already there; remove it to train again, or choose another --output")
    training, stage = run.settings.training, run.stage
    make_deterministic(training.threads)
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = load_data(run.settings, device)
    learner = begin(run.settings, data["train"])
    per_unit = batches(len(data["train"].labels), training.batch_size) if run.unit == "epochs" else 1
    found = open_resume(run, resume, previous)
    remedy = AGAIN if found and found.parent == resume else TRAIN_AGAIN
    step, metrics = restore(found, run, learner, device, remedy)

    until, evaluated = stage.until * per_unit, set(stage.evaluated(training.evaluate_every))
    print(f"training on {device} from {run.unit[:-1]} {step / per_unit:g} to {stage.until}", flush=True)
    first, begun = step, time.monotonic()
    saved = begun
    while True:
        unit, rest = divmod(step, per_unit)
        keep = rest == 0 and unit in stage.kept
        if keep or (rest == 0 and unit in evaluated and unit not in metrics):
            metrics[unit] = {
                "learning_rate": learning_rate(training, step, per_unit),
                **evaluate(learner, data, training),
            }
            print(progress(run, unit, metrics[unit], step - first, until - step, time.monotonic() - begun), flush=True)
        if keep:
            checkpoints.save(resume / f"{unit:05d}.pt", snapshot(run, step, metrics, learner))
        if step == until:
            break
        if time.monotonic() - saved >= save_every:
            checkpoints.save(resume / "state.pt", snapshot(run, step, metrics, learner))
            saved = time.monotonic()
        train_step(learner, data["train"], run.settings, step, per_unit)
        step += 1
    finish(run, resume, output, metrics)


def load_data(settings, device):
    """Return {split: Samples} of a run, whole and on the device."""
    data = data_set(settings.dataset)
    splits = load_samples(settings.dataset, settings.seed)
    return {name: on_device(split, data, device) for name, split in splits.items()}


@torch.no_grad()
def evaluate(learner, data, training):
    """Return mean cross-entropy (nats) and accuracy on each split: train_loss, train_accuracy, ...

    With a bottleneck also its mean reconstruction error over batches: train_reconstruction_error, ...
    """
    learner.model.eval()
    result = {}
    for split, samples in data.items():
        logits, errors = [], []
        size = max(1, min(EVALUATION_BATCH, EVALUATION_VALUES // samples.inputs[0].numel()))
        for batch in samples.inputs.split(size):
            with mixed_precision(training, batch.device):
                logits.append(learner.model(normalize(batch, samples)).float())
            if learner.autoencoder:
                errors.append(learner.autoencoder.error(learner.watched["output"]))
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
    """Return everything that training needs to go on from here."""
    return {
        "run": run.model_dump_json(),
        "step": step,
        "metrics": metrics,
        "model": learner.model.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "autoencoder": learner.autoencoder and learner.autoencoder.state_dict(),
        "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
    }


def open_resume(run, resume, previous):
    """Make the resume folder this run's own; return the checkpoint to go on from (None: the beginning).

    Raises UserError where another process is training there, or what it says of its run is damaged.
    """
    resume.mkdir(parents=True, exist_ok=True)
    # Held until this process ends; a second Snakemake may start while a job of a killed one still runs.
    if not try_lock(os.open(resume, os.O_RDONLY)):
        raise UserError(f"{resume}: another process is training there; wait for it or stop it")
    statement = resume / "run.json"
    if not statement.exists() or read_json(statement, TRAIN_AGAIN) != run.model_dump(mode="json"):
        if any(resume.iterdir()):
            print(f"{resume}: left by a run with other settings or code; starting anew", flush=True)
        for file in resume.iterdir():
            file.unlink()
        write_json(statement, run.model_dump(mode="json"))
    return max(resume.glob("*.pt"), key=lambda file: file.stat().st_mtime_ns, default=previous)


def restore(checkpoint, run, learner, device, remedy):
    """Bring a Learner and random states to where `checkpoint` left them; return (step, metrics).

    Raises UserError where the checkpoint is damaged, belongs to another run, or not to this stage.
    """
    if checkpoint is None:
        return 0, {}
    state = checkpoints.load(checkpoint, device, remedy)
    theirs = check(TrainingJob, json.loads(state["run"]), str(checkpoint))
    if theirs.settings != run.settings or theirs.unit != run.unit:
        raise UserError(f"{checkpoint}: of a run with other settings; train that stage again")
    learner.model.load_state_dict(state["model"])
    learner.optimizer.load_state_dict(state["optimizer"])
    if learner.autoencoder:
        learner.autoencoder.load_state_dict(state["autoencoder"])
    torch.set_rng_state(state["random"]["cpu"].cpu())
    if torch.cuda.is_available():
        # Of a machine with more GPUs the first ones: a training uses one.
        torch.cuda.set_rng_state_all([random.cpu() for random in state["random"]["cuda"][: torch.cuda.device_count()]])
    return state["step"], state["metrics"]


def finish(run, resume, output, metrics):
    """Turn the complete resume folder into the output: checkpoints, metrics.csv, and run.json that says what it is."""
    rows = [{run.unit[:-1]: unit, **metrics[unit]} for unit in sorted(metrics) if unit >= run.stage.first_row]
    with atomic_write(resume / "metrics.csv") as beside, open(beside, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
        file.close()
        seal_table(beside, resume / "metrics.csv")
    (resume / "state.pt").unlink(missing_ok=True)
    for part in resume.glob(".*.part"):  # of a save that was killed
        part.unlink()
    flush(resume)
    resume.replace(output)
