#!/usr/bin/env python
"""Time a step of the transformer and an epoch of the ResNet-18 against the usual ways to train them.

    python benchmarks/training.py              # all rows, about ten minutes on 2 cores
    python benchmarks/training.py resnet18     # one task: transformer, resnet18

transformer: a step of grokking, 2 layers of width 128 with 4 heads, dropout 0.1, 512 equations of 4 tokens, Adam;
against GPT2ForSequenceClassification of `transformers` of the same size, with torch's default Adam. The latter
computes the last layer at all positions, also applies dropout to the attention, and reads one fixed batch, so that its
step does not include making one.

resnet18: an epoch of five batches of 128 random images 3 x 32 x 32 at width 64, crop with padding 4 and flip, SGD with
momentum; against torchvision's resnet18 with the stem for small images and a plain loop over a DataLoader, with the
same transforms of PIL images. On a CPU its loader has no workers, because two of them slowed the epoch down by taking
the cores from the training; on a GPU it has one for each core, at most 8.

The device is chosen as in training. Methods take turns, each in a process of its own; milliseconds are the median of
three of them, each of which gives its fastest step or epoch. Rows with a precision or `compile` are ours with that
setting; all others compute in float32 on every device.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from actdim.datasets.dataset import DataSet, Split
from actdim.study.run_settings import make_run_settings
from actdim.training import loop, step
from actdim.training.batches import batches
from actdim.training.reproducible import keep_memory, make_deterministic

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TURNS = 3
IMAGES, CLASSES = 640, 10
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
STUDIES = {
    "transformer": {
        "dataset": {"name": "modular", "operation": "division"},
        "model": {"name": "transformer"},
        "training": {"optimizer": "adam", "lr": 1e-3, "betas": [0.9, 0.98], "weight_decay": 1e-2, "batch_size": 512},
    },
    "resnet18": {
        "dataset": {"name": "__main__:random_images", "augmentation": {"crop": 4, "flip": True}},
        "model": {"name": "resnet18"},
        "training": {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 128},
    },
}
OURS = {  # method: settings of training
    "actdim": {"precision": "float32"},
    "actdim, bfloat16": {"precision": "bfloat16"},
    "actdim, compile": {"precision": "float32", "compile": True},
}
ROWS = {  # task: peer, and (threads, our methods) of each comparison
    "transformer": ("GPT-2 of transformers", [(1, tuple(OURS)), (2, ("actdim",))]),
    "resnet18": ("loop over a DataLoader", [(2, tuple(OURS)[:2])]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--method", help=argparse.SUPPRESS)  # how this program calls itself
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.method:
        print(measure(arguments.tasks[0], arguments.method, arguments.threads))
        return
    print(f"On {torch.cuda.get_device_name() if DEVICE.type == 'cuda' else 'the CPU'}.\n")
    print("| task | threads | method | milliseconds | times as fast as the other |\n|---|---|---|---|---|")
    for task in arguments.tasks or ROWS:
        peer, comparisons = ROWS[task]
        for threads, ours in comparisons:
            taken = {method: [] for method in (peer, *ours)}
            for _ in range(TURNS):
                for method, turns in taken.items():
                    turns.append(in_own_process(task, method, threads))
            for method, turns in taken.items():
                ratio = statistics.median(taken[peer]) / statistics.median(turns)
                print(f"| {task} | {threads} | {method} | {statistics.median(turns):.1f} | {ratio:.2f} |", flush=True)


def in_own_process(task, method, threads):
    """Return the milliseconds that a method takes for a task, measured in a process of its own."""
    command = [sys.executable, __file__, task, "--method", method, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TOKENIZERS_PARALLELISM": "false"})
    if done.returncode:
        sys.exit(f"{method}: {done.stderr}")
    return float(done.stdout.splitlines()[-1])


def measure(task, method, threads):
    """Return the milliseconds of the fastest of several steps or epochs, after some that are not counted."""
    torch.set_num_threads(threads)
    make = {"GPT-2 of transformers": gpt2, "loop over a DataLoader": plain_loop}.get(method)
    call = make() if make else ours(task, {**OURS[method], "threads": threads})
    for _ in range(1 if task == "resnet18" else 10):
        call()
    durations = []
    for _ in range(2 if task == "resnet18" else 40):
        wait()
        begun = time.perf_counter()
        call()
        wait()
        durations.append(time.perf_counter() - begun)
    return 1000 * min(durations)


def wait():
    """Let the device finish."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def ours(task, chosen):
    """Return a function that takes a step, or makes an epoch of the images, as training does."""
    study = STUDIES[task]
    study = {**study, "training": {**study["training"], **chosen, "epochs": 1}}
    settings = make_run_settings(study, {"seed": 0}, "this benchmark")
    make_deterministic(settings.training.threads)
    keep_memory()
    train = loop.load_data(settings, DEVICE)["train"]
    learner = step.begin(settings, train)
    per_epoch = batches(len(train.labels), settings.training.batch_size)
    taken = 0

    def call():
        nonlocal taken
        for _ in range(per_epoch if task == "resnet18" else 1):
            step.train_step(learner, train, settings, taken, per_epoch)
            taken += 1

    return call


def random_images():
    """The data set of the ResNet-18."""

    def load():
        random = np.random.default_rng(0)
        images = random.integers(256, size=(IMAGES, 3, 32, 32), dtype=np.uint8)
        split = Split(images, random.integers(CLASSES, size=IMAGES), np.arange(IMAGES))
        return {"train": split, "validation": split}

    return DataSet((3, 32, 32), CLASSES, {"train": IMAGES, "validation": IMAGES}, load, mean=MEAN, std=STD)


def gpt2():
    """Return a function that takes a step of the stock classifier."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    size = {"vocab_size": 99, "n_positions": 4, "n_embd": 128, "n_layer": 2, "n_head": 4, "num_labels": 97}
    model = GPT2ForSequenceClassification(GPT2Config(**size, pad_token_id=98, bos_token_id=None, eos_token_id=None))
    model.to(DEVICE).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
    tokens, labels = torch.randint(97, (512, 4), device=DEVICE), torch.randint(97, (512,), device=DEVICE)

    def call():
        optimizer.zero_grad()
        model(input_ids=tokens, labels=labels).loss.backward()
        optimizer.step()

    return call


def plain_loop():
    """Return a function that makes an epoch of torchvision's model over a DataLoader."""
    from PIL import Image
    from torchvision import models, transforms

    flips = transforms.RandomHorizontalFlip()
    to_tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    alter = transforms.Compose([transforms.RandomCrop(32, padding=4), flips, *to_tensor])
    split = random_images().load()["train"]
    images = split.inputs.transpose(0, 2, 3, 1)

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return IMAGES

        def __getitem__(self, i):
            return alter(Image.fromarray(images[i])), int(split.labels[i])

    gpu = DEVICE.type == "cuda"
    workers = min(8, os.cpu_count()) if gpu else 0
    loader = torch.utils.data.DataLoader(
        Images(), 128, shuffle=True, num_workers=workers, pin_memory=gpu, persistent_workers=workers > 0
    )
    model = models.resnet18(num_classes=CLASSES)
    model.conv1, model.maxpool = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False), torch.nn.Identity()
    model.to(DEVICE).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    loss_of, total = torch.nn.CrossEntropyLoss(), 0.0

    def call():
        nonlocal total
        for inputs, labels in loader:
            inputs, labels = inputs.to(DEVICE), labels.to(DEVICE)
            optimizer.zero_grad()
            loss = loss_of(model(inputs), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()

    return call


if __name__ == "__main__":
    main()
