#!/usr/bin/env python
"""Time a dry run of the paper's studies against one of a bare Snakefile with the same number of jobs.

    python benchmarks/plan.py    # about five minutes on 2 cores

The bare Snakefile has the same steps from training to a table, with as many jobs of each, and nothing else: no logs,
benchmarks, parameters, environments, resources or functions, and no study to check. Dry runs in turn.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ["--config", "studies=[cifar10,cifar100,grokking_paper]"]
REPEATS = 3
BARE = """
FILES = [f"{{run}}/id/{{e}}/{{at}}/{{layer}}.json" for run, ats, layers, es in {runs}
    for at in range(ats) for layer in range(layers) for e in range(es)]
FILES += [f"{{run}}/pca/{{at}}.json" for run, ats, _, _ in {runs} for at in range(ats)]

rule all:
    input: "table.csv"

rule tabulate:
    input: FILES
    output: "table.csv"
    shell: "cat {{input}} > {{output}}"

rule estimate:
    input: "{{run}}/neighbors/{{at}}/{{layer}}.h5"
    output: "{{run}}/id/{{estimator}}/{{at}}/{{layer}}.json"
    shell: "touch {{output}}"

rule pca:
    input: "{{run}}/activations/{{at}}.h5"
    output: "{{run}}/pca/{{at}}.json"
    shell: "touch {{output}}"

rule neighbors:
    input: "{{run}}/activations/{{at}}.h5"
    output: "{{run}}/neighbors/{{at}}/{{layer}}.h5"
    shell: "touch {{output}}"

rule dump:
    input: "{{run}}/checkpoints"
    output: "{{run}}/activations/{{at}}.h5"
    shell: "touch {{output}}"

rule train:
    output: directory("{{run}}/checkpoints")
    shell: "mkdir {{output}}"
"""


def main():
    with tempfile.TemporaryDirectory() as folder:
        ours = jobs(seconds(ROOT, *CONFIG)[1])
        (Path(folder) / "Snakefile").write_text(BARE.format(runs=shape()))
        bare = jobs(seconds(folder)[1])
        pairs = [(seconds(ROOT, "--quiet", *CONFIG)[0], seconds(folder, "--quiet")[0]) for _ in range(REPEATS)]
    print("| Snakefile | jobs | seconds |\n|---|---|---|")
    for name, count, times in zip(("actdim", "bare"), (ours, bare), zip(*pairs, strict=True), strict=True):
        print(f"| {name} | {count:,} | {statistics.median(times):.1f} |")
    print(f"\nratio {statistics.median(a / b for a, b in pairs):.2f} (median of {REPEATS} turns)")


def shape():
    """Return [(run, dumps, layers, estimators)] of the studies."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from actdim.study.config import load_config
    from actdim.study.study import load_study
    from actdim.study.yaml_files import read_yaml

    config = load_config(read_yaml(ROOT / "config.yaml"))
    studies = [load_study(name, config, ROOT / "studies") for name in ("cifar10", "cifar100", "grokking_paper")]
    return [
        (f"{study.name}/{i}", len(study.activations.at), len(study.activations.layers), len(config.estimators))
        for study in studies
        for i in range(len(study.runs))
    ]


def seconds(folder, *options):
    """Return (seconds, output) of a dry run in a folder."""
    begun = time.perf_counter()
    command = ["snakemake", "--dry-run", "--nolock", *options]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, done.stdout


def jobs(output):
    """Return the number of jobs that a dry run states."""
    return int(re.search(r"^total +(\d+)$", output, flags=re.MULTILINE)[1])


if __name__ == "__main__":
    main()
