"""Which jobs request more memory than this machine has, to say so before they run."""

import contextlib
from pathlib import Path

import psutil

from actdim.study.targets import wildcards_of

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


def memory_of_machine():
    """Return the memory of this machine, or of the container that this process runs in, in MB."""
    sizes = [psutil.virtual_memory().total]
    for file in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            sizes.append(int(Path(file).read_text()))
    return min(sizes) / 1e6


def lacking_memory(jobs, request_for, available):
    """Return a line for each study and rule with jobs that request more memory than is available, in MB.

    jobs: Jobs; those whose results exist do not count. request_for: see resources.resource_requests.
    """
    too_large = {}
    for job in jobs:
        if not Path(job.output).exists():
            asked = request_for(job.rule, wildcards_of(job.rule, job.output)).mem_mb
            if asked > available:
                too_large.setdefault((job.study, job.rule), []).append((asked, job.output))
    return [
        f"{study}: {rule} requests {max(requests)[0] / 1000:,.0f} GB of memory for {max(requests)[1]}"
        f"{f', and too much for {len(requests) - 1} more' if len(requests) > 1 else ''};"
        f" this machine has {available / 1000:,.0f} GB"
        for (study, rule), requests in too_large.items()
    ]
