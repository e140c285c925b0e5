"""Runs killed at random moments in every rule's jobs: the next run ends with the results of an undisturbed run.

After SIGKILL, `snakemake --unlock` comes first. ACTDIM_MOMENTS: moments for each rule and signal (default: 20).
"""

import os
from collections import Counter

import pytest

from faults.harness import RULES, SIGNALS, durations, files_of, interrupt_until_done

MOMENTS = int(os.environ.get("ACTDIM_MOMENTS", "20"))
KILL, TERM, INT = SIGNALS
QUICK = [  # every signal, and rules with every kind of output: folder, HDF5, JSON, CSV
    *(("train", kind) for kind in SIGNALS),
    ("dump_activations", KILL),
    ("estimate_id", TERM),
    ("tabulate_id", INT),
]


def say(capsys, line):
    """Print a line with numbers for the documentation, although pytest captures output."""
    with capsys.disabled():
        print(f"\n{line}")


def test_killed_in_a_few_rules(project, finished, capsys):
    """Each signal once in training, and one signal in three more rules."""
    wanted, rules = Counter(QUICK), {rule for rule, _ in QUICK}
    rules = {rule: 0.7 * seconds for rule, seconds in durations(finished).items() if rule in rules}
    hits, misses, different = interrupt_until_done(project, finished, wanted, 0, rules)
    say(
        capsys,
        f"kills: {hits.total()} in a running job, {misses.total()} just after one; results lost: {len(different)}",
    )
    assert not different


@pytest.mark.slow_faults
@pytest.mark.parametrize("kind", SIGNALS, ids=lambda kind: kind.name)
def test_killed_in_every_rule(kind, fresh, undisturbed, capsys):
    seconds = durations(undisturbed)
    wanted = Counter(dict.fromkeys([(rule, kind) for rule in RULES if rule != "plan"], MOMENTS))
    hits, misses, different = interrupt_until_done(fresh, undisturbed, wanted, int(kind), seconds)
    of_plan = interrupt_until_done(fresh, undisturbed, Counter({("plan", kind): MOMENTS}), int(kind), seconds, "plan")
    hits, misses, different = hits + of_plan[0], misses + of_plan[1], different | of_plan[2]
    all_files = files_of(undisturbed)
    least = min(hits[rule, kind] for rule in RULES)
    say(
        capsys,
        f"{kind.name}: {hits.total()} in a running job, {least} or more for each of {len(RULES)} rules;"
        f" {misses.total()} just after one; results lost: {len(different)} of {len(all_files)}",
    )
    assert not different
