"""Which layer feeds the classifier: found in the graph that torch records for gradients.

The classifier is the last product with a weight before the logits, a linear map or a convolution. Walking back from the
logits,

    logits <- slice, mean, softmax, ... <- product <- view, copy, ... <- features
                                              ^
                                           weight

the first product with a weight is the classifier, and its other factor is its input. Views and copies before it keep
the values, so a layer whose output becomes the input through them feeds the classifier. Functions such as a mean over
positions make new values. No layer returns these, but the classifier's module reads them: its layer `<module>.input`.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

import torch
from torch.autograd.graph import get_gradient_edge

from actdim.models.layers import MODULE_INPUT, first_tensor

# Names of the graph's nodes, without what follows "Backward".
PRODUCTS = {"Addmm", "Mm", "Baddbmm", "Bmm", "Addmv", "Mv", "Convolution", "Linear", "Cdist", "EuclideanDist"}
SAME_VALUES = {  # in another shape or order, which changes no distance between samples
    *("Alias", "Clone", "Permute", "ReshapeAlias", "Squeeze", "T", "ToCopy", "Transpose", "UnsafeView", "Unsqueeze"),
    "View",
}
LOOKUPS = {"Embedding", "EmbeddingBag"}  # of rows that the data choose

SEVERAL = "several products with weights make the logits, so no layer alone feeds the classifier"
NO_PRODUCT = "the logits are computed from weights by {kind}, which is no product"
NO_CLASSIFIER = "no product with a weight was found before the logits"
READS_DATA = "the classifier reads the data, no layer"
NO_MODULE = "what the classifier reads is no module's output or input"


class ClassifierInput(NamedTuple):
    """What the classifier of a model reads."""

    layers: tuple[str, ...]  # whose values are its input; those computed last come first
    reason: str | None  # why there are none

    def among(self, layers):
        """Return which of some layers feeds the classifier; None if none of them does."""
        return next((name for name in self.layers if name in layers), None)

    def why_none_among(self, layers):
        """Return why none of some layers feeds the classifier; None if one does."""
        if self.among(layers):
            return None
        return self.reason or f"the layer that feeds the classifier, {self.layers[0]}, is not measured"


def classifier_input(model, inputs):
    """Return the ClassifierInput of a model, found by running it on a batch of inputs (n, *shape).

    No values are needed: model and inputs may be on the meta device.
    """
    graph, frozen = Graph(model), [tensor for tensor in weights_of(model) if not tensor.requires_grad]
    handles = graph.watch(model)
    try:
        with torch.enable_grad():
            for tensor in frozen:
                tensor.requires_grad_(True)
            data = inputs.detach().clone()
            if data.is_floating_point():
                data = data.requires_grad_() * 1  # not a leaf, which operations in place could not change
            return graph.classifier_input(model.eval()(data), data)
    except RuntimeError as error:
        return ClassifierInput((), f"the model cannot record gradients ({str(error).partition(chr(10))[0]})")
    finally:
        for handle in handles:
            handle.remove()
        for tensor in frozen:
            tensor.requires_grad_(False)


class Graph:
    """The graph of a forward pass, and which layers have its tensors as their values."""

    def __init__(self, model):
        self.weights = {id(tensor) for tensor in weights_of(model)}
        self.layers = defaultdict(list)  # {edge: layers whose values are the tensor that it leads to}
        self.noted = []  # these tensors, so that torch keeps the edges
        self.counts = Counter()  # {layer: how often it was computed}
        self.known = {}  # {node: whether it depends on the data}

    def watch(self, model):
        """Register hooks that note what each module reads and returns; return their handles."""
        handles = []
        for name, module in model.named_modules(remove_duplicate=False):
            if name:

                def note_input(module, arguments, keywords, name=name):
                    self.note(name + MODULE_INPUT, first_tensor([*arguments, *keywords.values()]))

                def note_output(module, arguments, output, name=name):
                    self.note(name, first_tensor(output))

                handles.append(module.register_forward_pre_hook(note_input, with_kwargs=True))
                handles.append(module.register_forward_hook(note_output))
        return handles

    def note(self, layer, tensor):
        """Note that a tensor holds the values of a layer."""
        if tensor is not None and tensor.is_floating_point():
            if not tensor.requires_grad:  # computed under no_grad, by a frozen part of the model
                tensor.requires_grad_()
            self.noted.append(tensor)
            self.layers[edge_of(tensor)].append(layer)
            self.counts[layer] += 1

    def classifier_input(self, logits, data):
        """Return the ClassifierInput of the model that computed the logits from the data."""
        pending, seen, features = [edge_of(logits)], set(), set()
        while pending:
            edge = pending.pop()
            if edge in seen:
                continue
            seen.add(edge)
            factors = [before for before in edges_before(edge) if self.depends_on_data(before)]
            weights = [before for before in edges_before(edge) if before not in factors and holds_matrix(before)]
            if weights and factors and kind(edge) not in (*PRODUCTS, "Add"):
                return ClassifierInput((), NO_PRODUCT.format(kind=kind(edge)))
            if weights and kind(edge) in PRODUCTS:
                features.update(factors)
            else:
                pending += factors
        if len(features) != 1:
            return ClassifierInput((), SEVERAL if features else NO_CLASSIFIER)
        return self.layers_of(features.pop(), edge_of(data) if data.requires_grad else None)

    def depends_on_data(self, edge):
        """Tell whether a tensor depends on the inputs, not on weights alone."""
        pending, seen = [edge[0]], set()
        while pending:
            node = pending.pop()
            if self.known.get(node, is_lookup(node) or (is_leaf(node) and id(node.variable) not in self.weights)):
                self.known[edge[0]] = True
                return True
            if node not in seen and node not in self.known:
                seen.add(node)
                pending += [before for before, _ in edges_before((node, 0))]
        self.known.update(dict.fromkeys(seen, False))
        return False

    def layers_of(self, edge, data):
        """Return the ClassifierInput whose values are a tensor, in the same or in another shape."""
        layers = []
        while True:
            if edge == data:
                return ClassifierInput((), READS_DATA)
            layers += [layer for layer in reversed(self.layers[edge]) if self.counts[layer] == 1]
            before = edges_before(edge)
            if kind(edge) not in SAME_VALUES or len(before) != 1:
                break
            edge = before[0]
        layers.sort(key=lambda layer: layer.endswith(MODULE_INPUT))  # stable: outputs first
        return ClassifierInput(tuple(layers), None if layers else NO_MODULE)


def weights_of(model):
    """Return what may be weights of a model: its parameters, and its buffers of two axes or more."""
    buffers = [buffer for buffer in model.buffers() if buffer.ndim > 1]  # not batch norm's, which take no gradients
    return [tensor for tensor in (*model.parameters(), *buffers) if tensor.is_floating_point()]


def edge_of(tensor):
    """Return the edge of the graph that leads to a tensor: (node, number of the node's output)."""
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def edges_before(edge):
    """Return the edges that lead to what a node was computed from."""
    return [before for before in edge[0].next_functions if before[0] is not None]


def kind(edge):
    """Return the operation of an edge's node: Addmm."""
    return edge[0].name().partition("Backward")[0]


def is_lookup(node):
    """Tell whether a node takes rows that the data choose, as an embedding does."""
    return kind((node, 0)) in LOOKUPS


def is_leaf(node):
    """Tell whether a node stands for a tensor that no operation computed."""
    return hasattr(node, "variable")


def holds_matrix(edge):
    """Tell whether a tensor that does not depend on the data was computed from a weight of two axes or more."""
    pending, seen = [edge[0]], set()
    while pending:
        node = pending.pop()
        if is_leaf(node) and node.variable.ndim > 1:
            return True
        if node not in seen:
            seen.add(node)
            pending += [before for before, _ in edges_before((node, 0))]
    return False
