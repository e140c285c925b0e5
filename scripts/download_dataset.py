#!/usr/bin/env python
"""Download a data set by torchvision."""

import argparse
import http.client
import shutil
import socket
import tarfile
from pathlib import Path

from actdim import cli
from actdim.errors import UserError
from actdim.registry import DOWNLOADED
from actdim.storage.atomic import temporary_path
from actdim.storage.disk_space import raise_if_disk_full
from actdim.storage.file_locks import exclusive_lock

PATIENCE = 60  # seconds to wait for the server


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=list(DOWNLOADED), help="its name")
    parser.add_argument("--output", required=True, type=Path, help="the folder for it: data/cifar10")
    arguments = parser.parse_args()
    name, output = arguments.dataset, arguments.output
    with exclusive_lock(output.with_name(f".{output.name}.lock"), f"download {name}"):  # for two studies at once
        if output.exists() and any(output.iterdir()):
            print(f"{output} is there already")
        else:
            download(name, output)
            print(f"{name} is in {output}")


def download(name, output):
    """Download a data set to the folder `output`, which appears once it is complete.

    Raises UserError if the download fails, NoSpace if the disk is full.
    """
    import torchvision

    socket.setdefaulttimeout(PATIENCE)
    dataset_class = getattr(torchvision.datasets, DOWNLOADED[name])
    temporary = temporary_path(output)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        for split in [{"split": "train"}, {"split": "test"}] if name == "svhn" else [{"train": True}, {"train": False}]:
            dataset_class(temporary, download=True, **split)
        temporary.replace(output)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
        raise_if_disk_full(output, temporary, error, None)
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise UserError(
            f"{name} could not be downloaded ({reason}); try again, or copy its files to {output}"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    cli.run(main)
