"""The trained model in a checkpoint, and what results that are made of it say about it."""

import json
import math
from typing import NamedTuple

import torch

from actdim.models.build import build_model
from actdim.training import checkpoints
from actdim.training.reproducible import keep_memory, make_deterministic
from actdim.training.settings import RunSettings
from actdim.training.stages import TrainingJob
from actdim.validation import check


class Trained(NamedTuple):
    """The model of a checkpoint, on the device."""

    model: torch.nn.Module
    device: torch.device
    settings: RunSettings
    source: dict  # what results state: study, chosen, settings, unit, checkpoint, metrics, their reason, weight_norm


def load_trained(path):
    """Return the Trained of a checkpoint of train.py, and set torch up as in its training; UserError where corrupt.

    weight_norm is the Euclidean norm of all parameters. A metric that is nan or infinite (diverged) is None;
    metrics_reason says why metrics mean nothing, where that is known.
    """
    state = checkpoints.load(path)
    job = check(TrainingJob, json.loads(state["run"]), str(path))
    make_deterministic(job.settings.training.threads)
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
