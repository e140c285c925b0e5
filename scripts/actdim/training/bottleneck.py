"""The autoencoder-bottleneck regularizer of the public code of arXiv 2211.13239.

A small autoencoder learns, beside the model, to reconstruct the activations of one layer from a code of few numbers;
its relative reconstruction error is added to the loss, so that the model learns activations that few numbers hold.
"""

import torch
from torch import nn

HIDDEN = 4  # times the width of the code, in the layers around it


class Autoencoder(nn.Module):
    """Two layers to a code of `width` numbers and two back, for activations of `features` numbers."""

    def __init__(self, features, width):
        super().__init__()
        hidden = HIDDEN * width
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.decoder = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, features))

    def error(self, activations):
        """Return the relative reconstruction error of activations (n, ...): the part of their variance that is lost.

        They are centered and scaled to a mean square of 1 first, for a model must not win by making them small.
        """
        x = activations.flatten(1).float()
        x = x - x.mean(0)
        x = x / x.square().mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        return (self.decoder(self.encoder(x)) - x).square().mean()


def watch(model, layer):
    """Return a dict that holds, after every forward pass of the model, the output of `layer` as its "output"."""
    seen = {}
    model.watched = True  # so that a transformer computes its last block at all positions
    model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.update(output=output.clone()))
    return seen
