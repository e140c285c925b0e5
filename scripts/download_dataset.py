#!/usr/bin/env python
"""Download a data set by torchvision."""

import argparse
import fcntl
import http.client
import shutil
import socket
import tarfile
from pathlib import Path

from actdim import cli
from actdim.errors import UserError
from actdim.registry import DOWNLOADED
from actdim.storage import disk_space

PATIENCE = 60  # seconds in which the server should send something


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=list(DOWNLOADED), help="its name")
    parser.add_argument("--output", required=True, type=Path, help="the folder for it: data/cifar10")
    arguments = parser.parse_args()
    name, output = arguments.dataset, arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(output.with_name(f".{output.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two studies may want it at once
        if output.exists() and any(output.iterdir()):
            print(f"{output} is there already")
        else:
            download(name, output)
            print(f"{name} is in {output}")


def download(name, output):
    """Download a data set to the folder `output`, which appears when all of it could be read, or not at all.

    Raises UserError where the download fails, NoSpace where the disk is full.
    """
    import torchvision

    socket.setdefaulttimeout(PATIENCE)
    kind = getattr(torchvision.datasets, DOWNLOADED[name])
    beside = output.with_name(f".{output.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        for part in [{"split": "train"}, {"split": "test"}] if name == "svhn" else [{"train": True}, {"train": False}]:
            kind(beside, download=True, **part)
        beside.replace(output)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
        disk_space.raise_if_disk_full(output, beside, error, None)
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise UserError(
            f"{name} could not be downloaded ({reason}); try again, or copy its files to {output}"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


if __name__ == "__main__":
    cli.run(main)
