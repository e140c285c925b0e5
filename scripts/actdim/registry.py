"""The models, data sets and estimators that a study can name; adding one is a function and a line here.

A job executes only the entry that it names, so these tables are not part of its code digest and the module of the
named entry is (see provenance.py): a new line reruns nothing.
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

ESTIMATORS = {
    "twonn": "actdim.estimators.twonn",
    "twonn_fit": "actdim.estimators.twonn_fit",
    "gride": "actdim.estimators.gride",
    "mle": "actdim.estimators.mle",
}
