"""The trained model in a checkpoint, and what results that are made of it say about it."""

import json
import math
from typing import NamedTuple

import torch

from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import on_device
from actdim.errors import UserError
from actdim.models.build import build_model
from actdim.provenance import digest_of
from actdim.random_numbers import seed_random_numbers
from actdim.training import checkpoints
from actdim.training.reproducible import keep_memory, make_deterministic
from actdim.training.settings import RunSettings, run_settings_that_count
from actdim.training.stages import TrainingJob
from actdim.validation import check


class Trained(NamedTuple):
    """The model of a checkpoint, on the device."""

    model: torch.nn.Module
    device: torch.device
    settings: RunSettings
    source: dict  # what results state: study, chosen, settings, unit, checkpoint, metrics, their reason, weight_norm


def load_trained(path, expected=None):
    """Return the Trained of a checkpoint of train.py, and set torch up as in its training.

    expected: digest of the files that its settings name, when the job was planned; None: they should be as in training.
    Raises UserError where the checkpoint is corrupt, or a file that its settings name has changed.

    weight_norm is the Euclidean norm of all parameters. A metric that is nan or infinite (diverged) is None;
    metrics_reason says why metrics mean nothing, where that is known.
    """
    state = checkpoints.load(path)
    job = check(TrainingJob, json.loads(state["run"]), str(path))
    require_same_files(path, job, expected)
    make_deterministic(job.settings.training.threads)
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seed_random_numbers(job.settings.seed)  # as in training: a model may draw what is not in its state
    model = build_model(job.settings, device).eval()
    model.load_state_dict(state["model"])
    unit, metrics = max(state["metrics"].items())
    squares = sum(weights.detach().double().square().sum().item() for weights in model.parameters())
    measured = {**metrics, "weight_norm": math.sqrt(squares)}
    del measured["learning_rate"]
    reason = measured.pop("reason", None)
    source = {
        "study": job.study,
        "chosen": job.chosen,
        "settings": job.settings.model_dump(mode="json"),
        "unit": job.unit,
        "checkpoint": unit,
        **{name: value if math.isfinite(value) else None for name, value in measured.items()},
        **({"metrics_reason": reason} if reason else {}),
    }
    return Trained(model, device, job.settings, source)


def samples_of(trained, split):
    """Return the device.Samples of a split of a Trained's data set."""
    data = data_set(trained.settings.dataset)
    return on_device(load_samples(trained.settings.dataset, trained.settings.seed)[split], data, trained.device)


def require_same_files(path, job, expected):
    """Raise UserError where a file that the settings of a checkpoint's job name has changed; see load_trained."""
    now, before = run_settings_that_count(job.settings).get("files", {}), job.made_by["settings"].get("files", {})
    changed = [file for file in now if now[file] != before.get(file, now[file])]
    if expected and digest_of(now) != expected:
        raise UserError(f"{' or '.join(now)}: changed since this job was planned; run snakemake again")
    if changed and not expected:
        raise UserError(
            f"{' and '.join(changed)}: changed since {path} was trained; restore what it held, or train again"
        )
