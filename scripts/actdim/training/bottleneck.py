"""The autoencoder-bottleneck regularizer of the public code of arXiv 2211.13239.

A small autoencoder learns with the model to reconstruct the activations of one layer from a short code. Its relative
reconstruction error is part of the loss, so the model learns activations that a short code can represent.
"""

import torch
from torch import nn

from actdim.models.layers import hook_layer

HIDDEN = 4  # width of the hidden layers, relative to the code


class Autoencoder(nn.Module):
    """Two layers that encode `features` activations as `width` numbers, and two that decode them."""

    def __init__(self, features, width):
        super().__init__()
        hidden = HIDDEN * width
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.decoder = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, features))

    def error(self, activations):
        """Return the relative reconstruction error of activations (n, ...): the fraction of variance that is lost.

        They are centered and scaled to a mean square of 1 first; otherwise small activations would lower the error.
        """
        x = activations.flatten(1).float()
        x = x - x.mean(0)
        x = x / x.square().mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        return (self.decoder(self.encoder(x)) - x).square().mean()


def watch(model, layer):
    """Return a dict whose "values" are those of a layer after each forward pass of the model."""
    seen = {}
    model.watched = True  # so that a transformer computes its last block at all positions
    hook_layer(model, layer, lambda values: seen.update(values=values.clone()))
    return seen
