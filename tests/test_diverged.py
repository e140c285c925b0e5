"""A training that diverges costs its own values and nothing else."""

import pandas as pd


def test_a_diverged_run_is_empty_with_a_reason(project):
    project.write(
        {
            "dataset": {"name": "digits", "train_size": 200},
            "model": {"name": "mlp", "width": 16},
            "training": {"optimizer": "sgd", "batch_size": 50, "epochs": 6},
            "grid": [{"lr": [0.01, 0.1, 1e30]}],
            "checkpoints": [6],
            "activations": {"at": [6]},
        }
    )
    project.snakemake()
    ids = pd.read_csv(project.folder / "results/tables/id.csv")
    diverged = ids.query("lr == 1e30 and layer != 'input'")
    assert diverged.id.isna().all()
    assert diverged.reason.str.contains("not finite").all()
    assert ids.query("lr < 1").id.notna().all()
    summary = pd.read_csv(project.folder / "results/tables/summary.csv")
    assert summary.llid.notna().sum() == 2
