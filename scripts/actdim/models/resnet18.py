"""ResNet-18 for small images, with the dropout of the paper (He et al. 2016; arXiv 2211.13239)."""

from typing import Annotated

from pydantic import Field
from torch import nn
from torch.nn.functional import relu

Rate = Annotated[float, Field(ge=0, lt=1)]


def resnet18(
    data,
    *,
    width: Annotated[int, Field(ge=1, description="feature maps of the first stage")] = 64,
    dropout: Annotated[Rate, Field(description="dropout rate after the stem and every stage")] = 0.0,
    classifier_dropout: Annotated[
        Rate | None, Field(description="dropout rate before the classifier; null: the value of dropout")
    ] = None,
) -> nn.Module:
    """Stem, four stages of two blocks, average pool, classifier.

    `width` is the first stage's number of feature maps; each later stage doubles it. `dropout` follows the
    stem and every stage, `classifier_dropout` the pool (None: the same rate).
    """
    if len(data.shape) != 3:
        raise ValueError("a resnet18 reads images, and this data set has none")
    return ResNet18(data, width, dropout, dropout if classifier_dropout is None else classifier_dropout)


class ResNet18(nn.Module):
    layers = ("stem", "stage1", "stage2", "stage3", "stage4", "pool")

    def __init__(self, data, width, dropout, classifier_dropout):
        super().__init__()
        self.stem = nn.Sequential(convolution(data.shape[0], width), nn.ReLU(inplace=True))
        self.stage1 = nn.Sequential(Block(width, width), Block(width, width))
        self.stage2 = nn.Sequential(Block(width, 2 * width, stride=2), Block(2 * width, 2 * width))
        self.stage3 = nn.Sequential(Block(2 * width, 4 * width, stride=2), Block(4 * width, 4 * width))
        self.stage4 = nn.Sequential(Block(4 * width, 8 * width, stride=2), Block(8 * width, 8 * width))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.classifier_dropout = nn.Dropout(classifier_dropout)
        self.classifier = nn.Linear(8 * width, data.classes)

    def forward(self, images):
        x = self.dropout(self.stem(images))
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = self.dropout(stage(x))
        return self.classifier(self.classifier_dropout(self.pool(x)))


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels_in, channels, stride=1):
        super().__init__()
        self.first = convolution(channels_in, channels, stride=stride)
        self.second = convolution(channels, channels)
        same_shape = stride == 1 and channels_in == channels
        self.shortcut = nn.Identity() if same_shape else convolution(channels_in, channels, size=1, stride=stride)

    def forward(self, x):
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


def convolution(channels_in, channels, size=3, stride=1):
    """A convolution that keeps the image size at stride 1, with batch norm in place of a bias."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False), nn.BatchNorm2d(channels)
    )
