#!/usr/bin/env python
"""Submit the jobs of a study to a Slurm cluster of one node, one by one and as slurm/config.yaml groups them.

    python benchmarks/slurm.py    # with Debian's slurm-wlm, slurmdbd, munge and mariadb-server

starts the cluster of tests/slurm, with two processors, for each turn. It prints jobs, submissions and the time from
`snakemake --profile slurm` to its end, as a table in Markdown.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/slurm")]

from cluster import ClusterError, cluster, query
from conftest import STUDY, copy_project

WIDE = STUDY | {
    "model": {"name": "resnet18", "width": 2},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": 2},
    "grid": [{"weight_decay": [0, 0.1]}],
    "checkpoints": [1, 2],
    "activations": {"at": [1, 2]},
    "figures": ["id_over_depth"],
}
TURNS = {"singly": ["--groups", "plan=plan"], "together": []}  # a group of a rule without jobs


def main():
    print("| submitted | jobs | submissions | seconds |\n|---|---|---|---|")
    for name, options in TURNS.items():
        jobs, submissions, seconds = measure(options)
        print(f"| {name} | {jobs} | {submissions} | {seconds:.0f} |", flush=True)


def measure(options):
    """Run a study of some 100 jobs; return the number of its jobs on the cluster, of submissions, and seconds."""
    with tempfile.TemporaryDirectory() as folder, cluster(cpus=2) as environment:
        project = copy_project(Path(folder) / "project")
        project.write(WIDE, estimators={"twonn": {}, "twonn_fit": {}})
        begun = time.monotonic()
        done = subprocess.run(
            ["snakemake", "--profile", "slurm", *options],
            cwd=project.folder,
            env=project.environment(environment),
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - begun
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        local = ("all", "report")
        jobs = sum(
            line.startswith("Finished jobid") and not line.endswith(tuple(f"(Rule: {rule})" for rule in local))
            for line in (done.stdout + done.stderr).splitlines()
        )
        submissions = query(environment, "sacct", "-X", "--noheader", "--format=JobID").splitlines()
        return jobs, len(submissions), seconds


if __name__ == "__main__":
    try:
        main()
    except ClusterError as reason:
        sys.exit(f"no Slurm cluster: {reason}")
