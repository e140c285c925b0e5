"""A small convolutional network."""

from typing import Annotated

from pydantic import Field
from torch import nn


def convnet(
    data,
    *,
    depth: Annotated[int, Field(ge=1, description="convolutions")] = 3,
    width: Annotated[int, Field(ge=1, description="feature maps of the first convolution")] = 16,
    batch_norm: Annotated[bool, Field(description="batch norm before each ReLU")] = False,
) -> nn.Module:
    """`depth` 3x3 convolutions with ReLU, from the second on at stride 2 and twice as wide, then the classifier.

    With batch norm, it stands between each convolution and its ReLU.
    """
    if len(data.shape) != 3:
        raise ValueError("a convnet reads images, and this data set has none")
    return ConvNet(data, depth, width, batch_norm)


class ConvNet(nn.Module):
    def __init__(self, data, depth, width, batch_norm):
        super().__init__()
        channels, height, across = data.shape
        self.layers = tuple(f"conv{i + 1}" for i in range(depth))
        for i, name in enumerate(self.layers):
            stride, maps = min(i, 1) + 1, width * 2**i
            norm = [nn.BatchNorm2d(maps)] if batch_norm else []
            self.add_module(name, nn.Sequential(nn.Conv2d(channels, maps, 3, stride, padding=1), *norm, nn.ReLU()))
            channels, height, across = maps, -(-height // stride), -(-across // stride)
        self.classifier = nn.Linear(channels * height * across, data.classes)

    def forward(self, images):
        x = images
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return self.classifier(x.flatten(1))
