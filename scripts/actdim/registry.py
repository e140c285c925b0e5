"""The models, data sets and estimators that a study can name: name -> module:function.

family:* stands for many names, and its function returns the one of a member's name.

A job executes only the entry that it names, so these tables are not part of its code digest and the module of the
named entry is (see provenance.py): a new line reruns nothing.
"""

MODELS = {
    "convnet": "actdim.models.convnet:convnet",
    "mlp": "actdim.models.mlp:mlp",
    "resnet18": "actdim.models.resnet18:resnet18",
    "torchvision:*": "actdim.models.torchvision_models:architecture",
    "transformer": "actdim.models.transformer:transformer",
}


DATASETS = {
    "digits": "actdim.datasets.digits:digits",
    "modular": "actdim.datasets.modular:modular",
    "permutations": "actdim.datasets.permutations:permutations",
    "cifar10": "actdim.datasets.cifar:cifar10",
    "cifar100": "actdim.datasets.cifar:cifar100",
    "mnist": "actdim.datasets.mnist:mnist",
    "fashionmnist": "actdim.datasets.mnist:fashionmnist",
    "svhn": "actdim.datasets.svhn:svhn",
    "imagefolder": "actdim.datasets.imagefolder:imagefolder",
}


# The data sets that can be downloaded, to data/<name>: name -> torchvision's class.
DOWNLOADED = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "mnist": "MNIST",
    "fashionmnist": "FashionMNIST",
    "svhn": "SVHN",
}


ESTIMATORS = {
    "twonn": "actdim.estimators.twonn:twonn",
    "twonn_fit": "actdim.estimators.twonn_fit:twonn_fit",
    "gride": "actdim.estimators.gride:gride",
    "mle": "actdim.estimators.mle:mle",
}
