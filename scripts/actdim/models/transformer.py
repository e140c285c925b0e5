"""A small decoder-only transformer that reads an equation and names its result (Power et al. 2022)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from actdim.models.cpu_layers import Dropout, Linear


def transformer(
    data,
    *,
    depth: Annotated[int, Field(ge=1, description="blocks")] = 2,
    width: Annotated[int, Field(ge=1, description="numbers for each position; a multiple of heads")] = 128,
    heads: Annotated[int, Field(ge=1, description="attention heads of each block")] = 4,
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="dropout rate after embeddings, attentions and MLPs")
    ] = 0.1,
) -> nn.Module:
    """Pre-norm blocks of causal attention and a four times wider MLP; the class is read at the last position."""
    if not data.vocabulary:
        raise ValueError("a transformer reads tokens, and this data set has none")
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
    return Transformer(data, depth, width, heads, dropout)


class Transformer(nn.Module):
    def __init__(self, data, depth, width, heads, dropout):
        super().__init__()
        self.token = nn.Embedding(data.vocabulary, width)
        self.position = nn.Embedding(data.shape[0], width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.final_norm = nn.LayerNorm(width)
        self.classifier = Linear(width, data.classes, bias=False)
        self.dropout = Dropout(dropout)
        self.layers = (*(f"blocks.{i}.{part}" for i in range(depth) for part in ("attention", "mlp")), "final_norm")
        # With large embeddings it memorizes the equations and generalizes much later.
        nn.init.normal_(self.token.weight, std=0.02)
        nn.init.normal_(self.position.weight, std=0.02)
        self.watched = False  # whether training also reads the output of a layer; see training/bottleneck.py

    def forward(self, tokens):
        x = self.dropout(self.token(tokens) + self.position.weight)
        for block in self.blocks[:-1]:
            x = block(x)
        # Only the last position of the last block has a say in the class, so in training no other is computed there.
        # In evaluation, or if a layer is watched, all are: their activations are measured.
        x = self.blocks[-1](x, last_only=self.training and not self.watched)
        return self.classifier(self.final_norm(x[:, -1]))


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(Linear(width, 4 * width), nn.GELU(), Linear(4 * width, width))
        self.dropout = Dropout(dropout)

    def forward(self, x, last_only=False):
        start = x.shape[1] - 1 if last_only else 0
        attended = self.attention(self.attention_norm(x), start)
        x = x[:, start:] + self.dropout(attended)
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class Attention(nn.Module):
    """Causal self-attention, written out: for so few positions it takes less time than torch's own."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width, bias=False)
        self.key_value = Linear(width, 2 * width, bias=False)
        self.out = Linear(width, width, bias=False)

    def forward(self, x, start=0):
        """Attend from the positions `start` and later: (n, positions, width) -> (n, positions - start, width)."""
        query = self.split(self.query(x[:, start:]))
        key, value = (self.split(part) for part in self.key_value(x).chunk(2, dim=-1))
        positions = torch.arange(x.shape[1], device=x.device)
        hidden = positions > positions[start:, None]
        scores = (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).masked_fill(hidden, -torch.inf)
        return self.out((scores.softmax(3) @ value).transpose(1, 2).flatten(2))

    def split(self, x):
        """(n, positions, width) -> (n, heads, positions, width / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
