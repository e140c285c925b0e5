"""A run whose activations are in files of the user's own, and the sizes that are known of any run's activations."""

from typing import NamedTuple

from actdim.storage.watched_files import content_digest, files_below
from actdim.validation import Settings


class Shapes(NamedTuple):
    """The sizes of a run's activations, known before they are stored."""

    layers: dict[str, int]  # {layer: features}, the last to be computed last
    sizes: dict[str, int]  # {split: samples}
    classes: int  # 0 without labels
    feeds_classifier: str | None  # the layer that does


class OwnFiles(Settings):
    """The files of one run at one checkpoint and of one split."""

    layers: dict[str, str]  # {layer: path}
    labels: str | None
    metrics: dict[str, float]


class OwnRun(Settings):
    """The files of a run, in the place of the settings of one that is trained."""

    files: dict[str, OwnFiles]  # {name of the set of samples, such as 00010-train: its files}
    shapes: Shapes
    class_names: list[str]  # of labels that are texts, in the order of their numbers

    def counted(self, samples):
        """Return what decides about the imported values of a set of samples, with the content of its files."""
        layers, labels, metrics = (getattr(self.files[samples], key) for key in ("layers", "labels", "metrics"))
        paths = dict.fromkeys([*layers.values(), *([labels] if labels else [])])
        return {
            "layers": list(layers),
            **({"metrics": metrics} if metrics else {}),
            **({"class_names": self.class_names} if self.class_names else {}),
            "files": {path: content_digest(path, files_below) for path in paths},
        }

    def paths(self, samples):
        """Return the paths of the files of a set of samples."""
        return list(self.counted(samples)["files"])
