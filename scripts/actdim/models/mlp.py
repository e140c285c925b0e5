"""A multilayer perceptron."""

from itertools import pairwise
from math import prod
from typing import Annotated

from pydantic import Field
from torch import nn


def mlp(
    data,
    *,
    depth: Annotated[int, Field(ge=1, description="hidden layers")] = 2,
    width: Annotated[int, Field(ge=1, description="neurons of each hidden layer")] = 128,
    dropout: Annotated[float, Field(ge=0, lt=1, description="dropout rate after each hidden layer")] = 0.0,
    batch_norm: Annotated[bool, Field(description="batch norm before each ReLU")] = False,
) -> nn.Module:
    """`depth` hidden ReLU layers of `width` neurons, dropout after each, then the classifier.

    With batch norm, it stands before each ReLU.
    """
    if data.vocabulary:
        raise ValueError("an mlp reads numbers, and this data set has tokens")
    return MLP(data, depth, width, dropout, batch_norm)


class MLP(nn.Module):
    def __init__(self, data, depth, width, dropout, batch_norm):
        super().__init__()
        self.layers = tuple(f"hidden{i + 1}" for i in range(depth))
        for name, (fan_in, fan_out) in zip(self.layers, pairwise([prod(data.shape)] + [width] * depth), strict=True):
            norm = [nn.BatchNorm1d(width)] if batch_norm else []
            self.add_module(name, nn.Sequential(nn.Linear(fan_in, fan_out), *norm, nn.ReLU()))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, data.classes)

    def forward(self, inputs):
        x = inputs.flatten(1)
        for name in self.layers:
            x = self.dropout(self.get_submodule(name)(x))
        return self.classifier(x)
