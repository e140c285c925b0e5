"""One step of training: the model, optimizer and autoencoder, the learning rate, the loss."""

import math
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from actdim.datasets.dataset import check_class_weights, data_set
from actdim.datasets.device import normalize
from actdim.models.build import build_model
from actdim.random_numbers import seed_random_numbers, separate_random_numbers
from actdim.training.batches import take_batch
from actdim.training.bottleneck import Autoencoder, watch


class Learner(NamedTuple):
    """The model and what is trained with it."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    class_weights: torch.Tensor | None  # (classes,) float32
    autoencoder: Autoencoder | None
    watched: dict  # "values": what the autoencoder reads


def begin(settings, train):
    """Return the initial Learner of a run, from its seed, for the training Samples."""
    seed_random_numbers(settings.seed)
    device, training = train.labels.device, settings.training
    model = build_model(settings, device)
    autoencoder, watched = None, {}
    if training.bottleneck:
        watched = watch(model, training.bottleneck.layer)
        autoencoder = make_autoencoder(training.bottleneck.width, model, watched, train, settings.seed)
    weights = class_weights(training.class_weights, train.labels, data_set(settings.dataset).classes)
    if training.compile:
        model.compile()
    return Learner(model, make_optimizer(training, model, autoencoder), weights, autoencoder, watched)


@torch.no_grad()
def make_autoencoder(width, model, watched, train, seed):
    """Return the autoencoder of the watched layer; the model's own random numbers do not depend on it."""
    with separate_random_numbers(seed):
        model.eval()(normalize(train.inputs[:2], train))
        return Autoencoder(watched["values"][0].numel(), width).to(train.labels.device)


def make_optimizer(training, model, autoencoder):
    """Return the optimizer of all weights; weight decay applies to the model's."""
    groups = [{"params": model.parameters(), "weight_decay": training.weight_decay}]
    if autoencoder:
        groups.append({"params": autoencoder.parameters(), "weight_decay": 0.0})
    common = {"lr": training.lr, "fused": True}
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=training.momentum, **common)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[training.optimizer]
    return make(groups, betas=training.betas, **common)


def class_weights(wanted, labels, classes):
    """Return the weight of each class in the loss, (classes,) float32, or None.

    wanted: a weight for each class; or "balanced", n / (classes * samples of the class), as scikit-learn has it.
    Raises UserError for another number of weights.
    """
    if wanted is None:
        return None
    if wanted == "balanced":
        return len(labels) / (classes * torch.bincount(labels, minlength=classes).clamp_min(1)).float()
    check_class_weights(wanted, classes)
    return torch.tensor(wanted, device=labels.device)


def learning_rate(training, step, per_unit):
    """Return the learning rate of the given step (0 is the first)."""
    schedule, at = training.schedule, step / per_unit
    lr = training.lr
    if schedule.warmup:
        lr *= min(1.0, (step + 1) / (schedule.warmup * per_unit))
    if schedule.name == "cosine":
        lr *= 0.5 * (1 + math.cos(math.pi * min(1.0, at / schedule.length)))
    if schedule.name == "steps":
        lr *= schedule.factor ** sum(at >= fall for fall in schedule.at)
    return lr


def train_step(learner, train, settings, step, per_unit):
    """Take one optimizer step on the step's batch, without waiting for the device."""
    training = settings.training
    inputs, labels = take_batch(train, settings, step)
    for group in learner.optimizer.param_groups:
        group["lr"] = learning_rate(training, step, per_unit)
    learner.model.train()
    learner.optimizer.zero_grad(set_to_none=True)
    with mixed_precision(training, labels.device):
        logits = learner.model(inputs)
    loss = cross_entropy(logits.float(), labels, learner.class_weights)
    if learner.autoencoder:
        bottleneck = training.bottleneck
        activations = learner.watched["values"]
        if step < bottleneck.burn_in * per_unit:
            activations = activations.detach()
        loss = loss + bottleneck.weight * learner.autoencoder.error(activations)
    loss.backward()
    learner.optimizer.step()


def mixed_precision(training, device):
    """Return the context for forward passes: bfloat16 if the setting says so, with weights in float32."""
    half = training.precision == "bfloat16" or (training.precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
