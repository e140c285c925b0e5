"""The models and data sets that a study can name; adding one is a function and a line here.

A run executes only the entry that it names, so this table is not part of a job's code digest and the
module of the named entry is (see provenance.py): a new line reruns nothing.
"""

MODELS = {
    "mlp": "actdim.models.mlp",
    "resnet18": "actdim.models.resnet18",
    "transformer": "actdim.models.transformer",
}

DATASETS = {
    "digits": "actdim.datasets.digits",
    "modular": "actdim.datasets.modular",
    "permutations": "actdim.datasets.permutations",
}
