"""The functional dimension against theorems, closed forms and dense linear algebra."""

import json
import subprocess
import sys
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from actdim import registry
from actdim.datasets.dataset import DataSet, Split
from actdim.datasets.device import on_device
from actdim.errors import UserError
from actdim.measures import functional_dimension as fd
from conftest import ROOT, build_named
from programs import run_program
from torch import nn

GB = 1e9
NUMBERS = DataSet(shape=(4,), classes=3, sizes={}, load=dict)
IMAGES = DataSet(shape=(1, 8, 8), classes=10, sizes={}, load=dict)
TOKENS = DataSet(shape=(4,), classes=7, sizes={}, load=dict, vocabulary=9)


def make(data=NUMBERS, seed=0, **settings):
    torch.manual_seed(seed)
    return build_named(registry.MODELS, settings, data)


def relu_network(seed=0, widths=(4, 6, 5, 3)):
    """Return a generic ReLU MLP, with weights and biases from a normal distribution."""
    torch.manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).double()
    for values in model.parameters():
        nn.init.normal_(values)
    return model


def normal(*shape):
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape))


def measure(model, inputs, memory=GB, tolerance=None, probabilities=False):
    return fd.batch_dimension(fd.make_function(model, inputs[:1], probabilities), inputs, memory, tolerance)


def dense(model, inputs):
    """Return the Jacobian (n * outputs, parameters) by autograd, one output at a time."""
    model = model.double().eval()
    parameters = [values for values in model.parameters() if values.requires_grad]
    logits = model(fd.as_float64(inputs)).flatten()
    rows = [torch.autograd.grad(one, parameters, retain_graph=True, materialize_grads=True) for one in logits]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).numpy()


def inputs_of(data, n):
    rng = np.random.default_rng(1)
    return torch.from_numpy(
        rng.integers(data.vocabulary, size=(n, *data.shape))
        if data.vocabulary
        else rng.normal(size=(n, *data.shape)).astype(np.float32)
    )


# Theorems


@pytest.mark.parametrize("n", [4, 12, 200])
def test_permuted_neurons_leave_the_rank_as_it_is(n):
    inputs = normal(n, 4)
    for seed in range(5):
        model, permuted = relu_network(seed), relu_network(seed)
        order = torch.randperm(6)
        with torch.no_grad():
            permuted[0].weight.copy_(model[0].weight[order])
            permuted[0].bias.copy_(model[0].bias[order])
            permuted[2].weight.copy_(model[2].weight[:, order])
        torch.testing.assert_close(permuted(inputs), model(inputs))
        assert measure(permuted, inputs)["rank"] == measure(model, inputs)["rank"]


@pytest.mark.parametrize("n", [4, 12, 200])
def test_rescaled_neurons_leave_the_rank_as_it_is(n):
    inputs = normal(n, 4)
    for seed in range(5):
        model, rescaled = relu_network(seed), relu_network(seed)
        factors = torch.empty(6).uniform_(-2, 2).exp().double()
        with torch.no_grad():
            rescaled[0].weight.mul_(factors[:, None])
            rescaled[0].bias.mul_(factors)
            rescaled[2].weight.div_(factors)
        torch.testing.assert_close(rescaled(inputs), model(inputs))
        assert measure(rescaled, inputs)["rank"] == measure(model, inputs)["rank"]


@pytest.mark.parametrize("widths", [(4, 6, 3), (4, 6, 5, 3), (5, 4, 3), (2, 8, 1)])
def test_a_relu_network_has_one_dimension_less_for_each_hidden_neuron(widths):
    """No batch has a higher rank, and at least one of a few random networks reaches it."""
    inputs = 3 * normal(3000, widths[0])
    ranks = []
    for seed in range(8):
        model = relu_network(seed, widths)
        parameters = sum(values.numel() for values in model.parameters())
        for n in (5, 3000):
            result = measure(model, inputs[:n])
            assert result["hidden_neurons"] == sum(widths[1:-1])
            assert result["bound"] == min(n * widths[-1], parameters - sum(widths[1:-1]))
            assert result["rank"] <= result["bound"]
        ranks.append(result["rank"])
        assert result["over_bound"] == result["rank"] / result["bound"]
    assert max(ranks) == parameters - sum(widths[1:-1])


@pytest.mark.parametrize("hidden", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_network_has_the_dimension_of_its_matrices(hidden, bias):
    """Linear maps from 5 numbers to 4 of rank h at most have dimension h (5 + 4 - h), and all linear maps 20.

    With biases the map is x -> W2 W1 x + W2 b1 + b2; b2 alone reaches every constant: 4 more.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, hidden, bias), nn.Linear(hidden, 4, bias))
    result = measure(model, normal(50, 5))
    rank = min(hidden, 4)
    assert result["rank"] == rank * (5 + 4 - rank) + 4 * bias
    assert "hidden_neurons" not in result
    assert result["bound"] == min(200, sum(values.numel() for values in model.parameters()))
    assert result["gap"] is None or result["gap"] > 1e8


def test_probabilities_lose_one_of_each_sample():
    """They sum to 1; with enough parameters this is the only constraint."""
    inputs = inputs_of(NUMBERS, 4)
    model = relu_network(1, (4, 30, 30, 3))
    with torch.no_grad():
        model[4].weight.mul_(0.01)
    for probabilities, rank in ((False, 12), (True, 8)):
        result = measure(model, inputs, probabilities=probabilities)
        assert result["rank"] == result["bound"] == rank
        assert result["rows"] == 12


def test_full_dimension_of_a_small_network():
    model = relu_network(4)
    function = fd.make_function(model, torch.zeros(1, 4))
    draw = fd.draw_inputs(3 * normal(10, 4), 0, seed=0)
    result = fd.full_dimension(function, draw, 2, GB)
    ranks = [point["rank"] for point in result["curve"]]
    assert result["rank"] == ranks[-1] == 30 + 35 + 18 - 11
    assert ranks == sorted(ranks)
    assert ranks[0] == 6
    assert [point["samples"] for point in result["curve"]] == [2 * 2**i for i in range(len(ranks))]
    assert result["complete"]
    assert result["reason"] is None


def test_full_dimension_stays_below_what_a_dead_neuron_leaves():
    """A neuron that no input activates loses its incoming and outgoing weights; the curve ends at a plateau."""
    model = relu_network(4, (4, 6, 3))
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0, -1
    result = fd.full_dimension(
        fd.make_function(model, torch.zeros(1, 4)), fd.draw_inputs(normal(10, 4), 0, seed=0), 100, GB
    )
    ranks = [point["rank"] for point in result["curve"]]
    assert ranks[-1] == ranks[-2] == 5 * (5 + 3 - 1) + 3
    assert result["dead_neurons"] == 1
    assert result["complete"]


def test_full_dimension_does_not_stop_at_the_first_plateau():
    """A neuron that few inputs activate: the rank is the same for 64, 128 and 256 of them, and grows after."""
    model = relu_network(0)
    with torch.no_grad():
        model[0].bias[1] = -12
    function = fd.make_function(model, torch.zeros(1, 4))
    draw = fd.draw_inputs(3 * normal(10, 4), 0, seed=0)
    result = fd.full_dimension(function, draw, 32, GB)
    ranks = [point["rank"] for point in result["curve"]]
    assert ranks[1] == ranks[2] == ranks[3] < ranks[4]
    assert result["rank"] == result["bound"] == 30 + 35 + 18 - 11
    assert result["complete"]
    assert result["unseen"] == 0


def test_full_dimension_below_its_bound_says_what_it_may_not_have_seen():
    model = relu_network(4, (4, 6, 3))
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0, -1
    function = fd.make_function(model, torch.zeros(1, 4))
    result = fd.full_dimension(function, fd.draw_inputs(normal(10, 4), 0, seed=0), 100, GB)
    assert result["samples"] >= fd.SETTLED
    assert 0 < result["unseen"] <= 1e-3


def test_the_bound_for_probabilities_is_reached():
    """Adding the same to all logits changes no probability: along the weights of five neurons, and the biases."""
    model = relu_network(4)
    function = fd.make_function(model, torch.zeros(1, 4), probabilities=True)
    result = fd.full_dimension(function, fd.draw_inputs(normal(10, 4), 0, seed=0), 100, GB)
    assert result["rank"] == result["bound"] == 30 + 35 + 18 - 11 - (5 + 1)
    assert result["complete"]


def test_full_dimension_of_a_network_that_is_no_relu_chain():
    """Of a * b * x alone the product counts: one dimension of two parameters, which is below the bound."""

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.factors = nn.Parameter(torch.tensor([2.0, 3.0]))

        def forward(self, x):
            return self.factors.prod() * x

    function = fd.make_function(Product().double(), torch.zeros(1, 4))
    result = fd.full_dimension(function, fd.draw_inputs(normal(10, 4), 0, seed=0), 100, GB)
    assert (result["rank"], result["bound"], result["complete"]) == (1, 2, True)
    assert "hidden_neurons" not in result


def test_full_dimension_says_where_memory_ended():
    function = fd.make_function(relu_network(), torch.zeros(1, 4))
    result = fd.full_dimension(function, fd.draw_inputs(normal(10, 4), 0, seed=0), 1, 40_000)
    assert not result["complete"]
    assert "set memory higher" in result["reason"]
    assert result["rank"] == result["curve"][-1]["rank"] > 3


def test_random_inputs_are_the_same_each_time():
    draw = fd.draw_inputs(2 * normal(1000, 4) + 5, 0, seed=3)
    torch.testing.assert_close(draw(7), draw(90)[:7], rtol=0, atol=0)
    assert draw(5000).mean().item() == pytest.approx(5, abs=0.2)
    assert draw(5000).std().item() == pytest.approx(2, rel=0.1)
    tokens = fd.draw_inputs(torch.zeros(3, 4, dtype=torch.int64), 9, seed=3)
    assert torch.equal(tokens(7), tokens(90)[:7])
    assert tokens(500).unique().tolist() == list(range(9))


# Linear algebra


def trained(data, **settings):
    """Return a model whose batch norm, if any, has statistics."""
    model = make(data, **settings)
    model.train()(inputs_of(data, 64))
    return model


SMALL = {
    "mlp": (NUMBERS, {"depth": 2, "width": 6, "dropout": 0.5}),
    "resnet18": (IMAGES, {"width": 1}),
    "transformer": (TOKENS, {"width": 4, "heads": 2, "depth": 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tall"),
    [("mlp", False), ("mlp", True), ("resnet18", False), ("transformer", False), ("transformer", True)],
)
def test_blocks_have_the_singular_values_of_the_whole(name, tall):
    """For every memory limit, down to the first that is refused."""
    data, settings = SMALL[name]
    model = trained(data, name=name, **settings)
    columns = sum(values.numel() for values in model.parameters())
    inputs = inputs_of(data, 3 * columns // data.classes if tall else columns // data.classes // 8)
    function = fd.make_function(model, inputs[:1])
    wanted = np.linalg.svd(matrix := dense(model, inputs), compute_uv=False)
    assert (matrix.shape[0] > matrix.shape[1]) == tall
    lines = partial(fd.choose_height, function, *sorted(matrix.shape), function.outputs if tall else 1)
    assert lines(GB) == max(matrix.shape)
    least = next(memory for memory in np.geomspace(1e3, 1e9, 200) if suffices(lines, memory))
    assert lines(least) < max(matrix.shape)
    for memory in (GB, 1.4 * least, least):
        found = fd.singular_values(function, fd.as_float64(inputs), memory)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-13 * wanted[0])
        assert fd.numerical_rank(found, matrix.shape)["rank"] == np.linalg.matrix_rank(matrix)
    with pytest.raises(UserError, match="set memory higher, or samples lower"):
        fd.singular_values(function, fd.as_float64(inputs), 0.9 * least)


def suffices(lines, memory):
    """Tell whether this much memory is enough."""
    try:
        return bool(lines(memory))
    except UserError:
        return False


@pytest.mark.parametrize("height", [30, 33, 50, 90, 91, 400])
def test_a_triangle_keeps_small_singular_values(height):
    """Values down to 1e-13 of the largest, which the product of the matrix with itself would lose."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(n, 15)))[0] for n in (91, 15))
    wanted = np.logspace(0, -13, 15)
    matrix = left * wanted @ right.T

    def fill(target, start):
        target[:] = torch.from_numpy(matrix[start : start + len(target)])

    factor = fd.reduce_to_triangle(fill, 15, 91, min(height, 91))
    assert factor.shape == (15, 15)
    np.testing.assert_allclose(torch.linalg.svdvals(factor), wanted, rtol=1e-2)


def test_the_rank_is_that_of_numpy_and_can_be_judged():
    values = torch.tensor([4, 2, 1e-3, 1e-12, 1e-15, 0], dtype=torch.float64)
    judged = fd.numerical_rank(values, (10, 6))
    assert judged["rank"] == 4
    assert judged["relative_tolerance"] == 10 * np.finfo(float).eps
    assert judged["tolerance"] == 4 * judged["relative_tolerance"]
    assert judged["largest"] == 4
    assert judged["last_kept"] == [4, 2, 1e-3, 1e-12]
    assert judged["first_dropped"] == [1e-15, 0]
    assert judged["gap"] == pytest.approx(1000)
    coarse = fd.numerical_rank(values, (10, 6), 1e-6)
    assert (coarse["rank"], coarse["tolerance"]) == (3, 4e-6)
    assert coarse["gap"] == pytest.approx(1e9)
    assert fd.numerical_rank(values[:3], (10, 3))["gap"] is None
    assert fd.numerical_rank(values * torch.nan, (10, 6)) == {"rank": None, "reason": "the derivatives are not finite"}
    nothing = fd.numerical_rank(torch.zeros(3, dtype=torch.float64), (10, 3))
    assert (nothing["rank"], nothing["gap"]) == (0, None)


def test_frozen_parameters_do_not_count():
    model, inputs = relu_network(), normal(100, 4)
    model[0].requires_grad_(False)
    result = measure(model, inputs)
    assert result["columns"] == 35 + 18
    assert result["rank"] == np.linalg.matrix_rank(dense(model, inputs)) <= result["columns"]
    assert "hidden_neurons" not in result


def test_only_a_chain_has_the_bound_of_hidden_neurons():
    """A network with the same modules but another path through them does not have it."""

    class Residual(nn.Sequential):
        def forward(self, x):
            return self[2](self[1](self[0](x)) + x)

    assert "hidden_neurons" not in measure(Residual(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)), normal(9, 4))
    assert "hidden_neurons" not in measure(make(IMAGES, name="resnet18", width=1), inputs_of(IMAGES, 3))
    assert measure(make(name="mlp", depth=3, width=7), normal(9, 4))["hidden_neurons"] == 21


def test_a_diverged_network_has_no_rank():
    model = relu_network()
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
    result = measure(model, normal(9, 4))
    assert result["rank"] is result["over_bound"] is None
    assert result["reason"] == "the derivatives are not finite"


class Choosy(nn.Linear):
    """A model whose computation depends on the values of its input."""

    def forward(self, inputs):
        return super().forward(inputs if inputs.sum() > 0 else -inputs)


def test_a_model_that_cannot_be_batched_has_a_reason():
    with pytest.raises(UserError, match=r"^torch\.func cannot differentiate this model sample by sample: vmap: .*$"):
        measure(Choosy(4, 3), normal(9, 4))


def test_the_model_stays_as_it_is():
    model = make(IMAGES, name="resnet18", width=1).train()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    measure(model, inputs_of(IMAGES, 3))
    assert model.training
    assert all(values.requires_grad for values in model.parameters())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.slow
def test_memory_stays_within_its_limit():
    """A Jacobian of 0.5 GB in 0.1 GB; in a process of its own, so that its peak memory can be measured."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
import torch
from actdim.measures import functional_dimension as fd
torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(500, 300), torch.nn.ReLU(), torch.nn.Linear(300, 4))
inputs = torch.randn(100, 500).double()
function = fd.make_function(model, inputs[:1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
fd.singular_values(function, inputs[:2], 1e9)
before = peak()
assert len(fd.singular_values(function, inputs, 1e8)) == 400
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.13


def test_a_batch_is_the_same_each_time():
    split = Split(np.arange(50, dtype=np.float32).reshape(50, 1), np.zeros(50, int), np.arange(50))
    samples = on_device(split, NUMBERS, "cpu")
    chosen = fd.choose_inputs(samples, 20, seed=1).flatten().tolist()
    assert chosen == sorted(set(chosen)) == fd.choose_inputs(samples, 20, seed=1).flatten().tolist()
    assert len(chosen) == 20
    assert chosen != fd.choose_inputs(samples, 20, seed=2).flatten().tolist()
    assert len(fd.choose_inputs(samples, 100, seed=1)) == 50


# The program


def program(folder, *sets, checkpoint="00004.pt"):
    """Run the program on a checkpoint; return the finished process."""
    options = [part for pair in sets for part in ("--set", pair)]
    output = folder / "dimension.json"
    return run_program("measure_functional_dimension", *options, checkpoint=folder / checkpoint, output=output)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The folder of a small training."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(
        "dataset: {name: digits, train_size: 60}\nmodel: {name: mlp, width: 4}\ncheckpoints: [0, 4]\n"
        "training: {lr: 0.1, batch_size: 20, epochs: 4}\nactivations: {at: [4]}\n"
    )
    assert run_program("train", study=folder / "small.yaml", output=folder / "run").returncode == 0
    return folder / "run"


@pytest.mark.slow
def test_by_hand(checkpoints):
    done = program(checkpoints, "samples=20", "full=true", "seed=3")
    assert done.returncode == 0, done.stderr
    result = json.loads((checkpoints / "dimension.json").read_text())
    parameters = 65 * 4 + 5 * 4 + 5 * 10
    assert (result["samples"], result["rows"], result["columns"]) == (20, 200, parameters)
    assert result["rank"] <= result["bound"] == 200
    assert result["full"]["rank"] <= parameters - 8 == result["full"]["bound"]
    assert result["full"]["curve"][0]["samples"] == 20
    assert result["settings"]["samples"] == 20
    assert result["settings"]["outputs"] == "logits"
    assert result["source"]["checkpoint"] == 4
    assert result["source"]["split"] == "train"
    assert 0 < result["source"]["validation_accuracy"] < 1
    assert result["made_by"]["program"] == "measure_functional_dimension.py"
    first = (checkpoints / "dimension.json").read_bytes()
    program(checkpoints, "samples=20", "full=true", "seed=3")
    assert (checkpoints / "dimension.json").read_bytes() == first


@pytest.mark.parametrize(
    ("setting", "checkpoint", "message"),
    [
        ("sample=20", "00004.pt", "--set.sample: unknown key; did you mean samples?"),
        ("outputs=loss", "00004.pt", "--set.outputs: input should be 'logits' or 'probabilities', not 'loss'"),
        ("samples=20", "00003.pt", "00003.pt: no such checkpoint"),
        ("memory=0.001", "00004.pt", "takes 0.004 GB, and memory is 0.001; set memory higher, or samples lower"),
    ],
)
def test_mistakes_are_one_line(checkpoints, setting, checkpoint, message):
    done = program(checkpoints, setting, checkpoint=checkpoint)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("measure_functional_dimension.py: ")
    assert message in done.stderr
