"""Time the ablation of units: many ablations in one forward pass against a plain loop over them.

    python benchmarks/directions.py

Random networks on random images; 210 ablations (10 orders, 21 fractions). Printed as the table of docs/performance.md.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from actdim import plugins, registry
from actdim.datasets.dataset import DataSet, Split
from actdim.datasets.device import normalize, on_device
from actdim.measures.directions import accuracy_and_loss, describe_layer
from actdim.training.reproducible import keep_memory, make_deterministic

CASES = [  # model settings, shape of an image, layers
    ({"name": "mlp", "width": 128}, (1, 8, 8), ["hidden1", "hidden2"]),
    ({"name": "resnet18", "width": 16}, (1, 8, 8), ["stem", "stage2", "stage4", "pool"]),
    ({"name": "resnet18", "width": 16}, (1, 8, 8), ["stage2.1.first"]),
]
SAMPLES, ABLATIONS, REPEATS = 500, 210, 3
BATCH = 500  # of the plain loop


def main():
    make_deterministic(1)
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print("| network | layer | plain loop | actdim | times as fast |")
    print("|---|---|---|---|---|")
    for settings, shape, layers in CASES:
        data = DataSet(shape=shape, classes=10, sizes={}, load=dict)
        checked = plugins.check_named(registry.MODELS, settings, "model")
        torch.manual_seed(0)
        model = plugins.build(registry.MODELS, checked, data).to(device, memory_format=torch.channels_last).eval()
        random = np.random.default_rng(0)
        inputs = random.standard_normal((SAMPLES, *shape), dtype=np.float32)
        samples = on_device(Split(inputs, random.integers(10, size=SAMPLES), np.arange(SAMPLES)), data, device)
        for name in layers:
            ours, plain = measure(model, name, samples)
            print(
                f"| {settings['name']}, width {settings['width']} | {name} | {plain:.2f} s | {ours:.2f} s"
                f" | {plain / ours:.1f} |"
            )


def measure(model, name, samples):
    """Return the median seconds of (actdim, the plain loop), in turn, and check that they agree."""
    layer = describe_layer(model, name, samples)
    random = torch.Generator().manual_seed(0)
    kept = (torch.rand((ABLATIONS, 1, len(layer.mean)), generator=random) < 0.5).float().to(samples.labels.device)
    rows = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        accuracy, _ = accuracy_and_loss(model, layer, samples, kept, torch.zeros_like(kept))
        between = time.perf_counter()
        plain = one_by_one(model, name, samples, kept[:, 0])
        rows.append((between - begun, time.perf_counter() - between))
        assert np.allclose(accuracy, plain, atol=2 / SAMPLES)
    return [statistics.median(column) for column in zip(*rows, strict=True)]


@torch.no_grad()
def one_by_one(model, name, samples, masks):
    """Return the accuracy under each mask of a layer's units, one forward pass after the other."""
    accuracies = []
    for mask in masks:
        handle = model.get_submodule(name).register_forward_hook(
            lambda module, arguments, output, mask=mask: output * mask.view(-1, *[1] * (output.ndim - 2))
        )
        correct = 0
        for rows in range(0, SAMPLES, BATCH):
            logits = model(normalize(samples.inputs[rows : rows + BATCH], samples))
            correct += (logits.argmax(1) == samples.labels[rows : rows + BATCH]).sum().item()
        accuracies.append(correct / SAMPLES)
        handle.remove()
    return accuracies


if __name__ == "__main__":
    main()
