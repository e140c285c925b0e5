"""Drop-in replacements for nn.Linear and nn.Dropout that train faster on a CPU.

On a GPU, and in evaluation, they are torch's own. On a CPU in training they compute the same functions by other means:
`Linear` sums in another order, and `Dropout` draws other random numbers, so that weights after training differ from
those of torch's layers by rounding and by chance. Both are written for the transformer, whose small matrices leave a
step's time to the overhead of each operation (benchmarks/training.py).
"""

import torch
from torch import nn
from torch.nn.functional import conv2d

IMAGES = 16  # to deal the rows to; for fewer, torch does not call oneDNN on one thread


class Linear(nn.Linear):
    """nn.Linear, which on a CPU in training is computed as a convolution with kernels of size 1.

    torch hands convolutions to oneDNN and products of matrices to MKL, which takes twice the time on AMD processors
    with AVX-512. A row of the input becomes a pixel, its features the pixel's channels; the rows are dealt to IMAGES
    images, if their number allows it.
    """

    def forward(self, x):
        rows = x.numel() // self.in_features
        if x.device.type != "cpu" or not self.training or rows % IMAGES:
            return super().forward(x)
        images = x.reshape(IMAGES, rows // IMAGES, 1, self.in_features).permute(0, 3, 1, 2)
        mapped = conv2d(images, self.weight[:, :, None, None], self.bias)
        return mapped.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


class Dropout(nn.Dropout):
    """nn.Dropout, which on a CPU in training takes a third of the time.

    Most of the time goes to random numbers. torch draws one for each element; here 64 random bits serve four elements,
    16 bits each, so that the rate is a multiple of 2^-16.
    """

    def forward(self, x):
        if x.device.type != "cpu" or not self.training or not self.p:
            return super().forward(x)
        dropped = min(round(self.p * 2**16), 2**16 - 1)  # of the 2^16 values of an element's bits, those that drop it
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 2**15
        return x * (kept * (1 / (1 - dropped / 2**16)))
