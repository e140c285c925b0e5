"""Training steps against straightforward computations of the same steps."""

import pytest
import torch
import torchvision
from actdim.datasets.dataset import DataSet
from actdim.datasets.device import Samples
from actdim.datasets.settings import Augmentation
from actdim.models import build
from actdim.models.cpu_layers import Dropout, Linear
from actdim.study.run_settings import make_run_settings
from actdim.training import step as steps
from actdim.training.batches import take_batch
from actdim.training.loop import load_data
from torch.nn.functional import cross_entropy, gelu, layer_norm

EQUATIONS = {
    "dataset": {"name": "modular"},
    "model": {"name": "transformer", "dropout": 0.0},
    "training": {
        "optimizer": "adam",
        "lr": 1e-3,
        "betas": [0.9, 0.98],
        "weight_decay": 1e-2,
        "batch_size": 512,
        "precision": "float32",
        "steps": 60,
    },
}


def plain_transformer(weights, tokens, heads=4):
    """Return the logits of GPT-2's forward pass at the last position, by matrix products on {name: weight}."""

    def norm(x, name):
        return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = weights["token.weight"][tokens] + weights["position.weight"]
    n, positions, width = x.shape
    future = torch.ones(positions, positions).triu(1).bool()
    for block in ("blocks.0", "blocks.1"):
        normal = norm(x, f"{block}.attention_norm")
        query = normal @ weights[f"{block}.attention.query.weight"].T
        key, value = (normal @ weights[f"{block}.attention.key_value.weight"].T).split(width, dim=2)
        query, key, value = (part.view(n, positions, heads, -1).transpose(1, 2) for part in (query, key, value))
        scores = (query @ key.transpose(2, 3) / (width / heads) ** 0.5).masked_fill(future, -torch.inf)
        mixed = (scores.softmax(3) @ value).transpose(1, 2).reshape(n, positions, width)
        x = x + mixed @ weights[f"{block}.attention.out.weight"].T
        hidden = norm(x, f"{block}.mlp_norm") @ weights[f"{block}.mlp.0.weight"].T + weights[f"{block}.mlp.0.bias"]
        x = x + gelu(hidden) @ weights[f"{block}.mlp.2.weight"].T + weights[f"{block}.mlp.2.bias"]
    return norm(x, "final_norm")[:, -1] @ weights["classifier.weight"].T


def test_steps_of_the_transformer_are_those_of_a_plain_one():
    settings = make_run_settings(EQUATIONS, {"seed": 0}, "test")
    train = load_data(settings, "cpu")["train"]
    learner = steps.begin(settings, train)
    before = {name: weight.detach().clone() for name, weight in learner.model.named_parameters()}
    weights = {name: weight.clone().requires_grad_() for name, weight in before.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2, foreach=False)
    for step in range(3):
        steps.train_step(learner, train, settings, step, per_unit=1)
        tokens, labels = take_batch(train, settings, step)
        optimizer.zero_grad()
        cross_entropy(plain_transformer(weights, tokens), labels).backward()
        optimizer.step()
    for name, weight in learner.model.named_parameters():
        # Adam divides a gradient by its own size, so rounding shows where that is as small: in few weights.
        off = (weight - weights[name]).abs()
        assert off.mean() < 1e-3 * (weight - before[name]).abs().mean(), name
        assert off.max() < 1e-3, name


@pytest.mark.slow
def test_steps_of_the_resnet18_are_those_of_torchvisions(monkeypatch):
    """torchvision's parameters have the same order, so they can be copied.

    In float64: in float32, rounding flips a few ReLUs, which changes all gradients.
    """
    training = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 4, "steps": 2, "precision": "float32"}
    study = {"dataset": {"name": "digits"}, "model": {"name": "resnet18"}, "training": training}
    settings = make_run_settings(study, {"seed": 0}, "test")
    altered = settings.dataset.model_copy(update={"augmentation": Augmentation(crop=4, flip=True)})
    settings = settings.model_copy(update={"dataset": altered})  # digits could not have it
    torch.manual_seed(0)
    train = Samples(torch.randn(8, 3, 32, 32).double(), torch.arange(8), torch.zeros(0), torch.zeros(0))
    monkeypatch.setattr(build, "data_set", lambda settings: DataSet((3, 32, 32), 10, {}, dict))
    model = steps.build_model(settings).double()
    learner = steps.Learner(model, steps.make_optimizer(settings.training, model, None), None, None, {})

    plain = torchvision.models.resnet18(num_classes=10)
    plain.conv1, plain.maxpool = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False), torch.nn.Identity()
    plain.double().train()
    plain.load_state_dict(dict(zip(plain.state_dict(), model.state_dict().values(), strict=True)))
    before = [weight.detach().clone() for weight in plain.parameters()]
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, foreach=False)
    for step in range(2):
        steps.train_step(learner, train, settings, step, per_unit=2)
        inputs, labels = take_batch(train, settings, step)
        optimizer.zero_grad()
        cross_entropy(plain(inputs).float(), labels).backward()
        optimizer.step()
    for ours, theirs, start in zip(model.parameters(), plain.parameters(), before, strict=True):
        assert (ours - theirs).norm() < 1e-6 * (theirs - start).norm()


@pytest.mark.parametrize("rows", [(64, 4), (7, 3)], ids=["as a convolution", "as a product"])
def test_linear_is_torchs(rows):
    torch.manual_seed(0)
    ours, theirs = Linear(24, 40), torch.nn.Linear(24, 40)
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(*rows, 24).requires_grad_()
    outputs = [layer(inputs) for layer in (ours, theirs)]
    torch.testing.assert_close(*outputs)
    weighted = torch.randn(*rows, 40)
    one, other = (
        torch.autograd.grad((output * weighted).sum(), [inputs, *layer.parameters()])
        for output, layer in zip(outputs, (ours, theirs), strict=True)
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_each_element_on_its_own(rate):
    torch.manual_seed(0)
    dropout, x = Dropout(rate), torch.ones(2**20 + 3).requires_grad_()
    dropped = dropout(x)
    assert torch.equal(torch.autograd.grad(dropped.sum(), x)[0], dropped)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - rate)], rel=1e-4)
    kept = (dropped > 0).double() - (1 - rate)
    error = (rate * (1 - rate) / len(kept)) ** 0.5
    assert abs(kept.mean()) < 4 * error
    for apart in (1, 2, 3, 4, 5, 128):  # four neighbors share one random number of the generator
        assert abs((kept[apart:] * kept[:-apart]).mean()) < 4 * error * (rate * (1 - rate)) ** 0.5
    torch.manual_seed(0)
    assert torch.equal(dropout(x), dropped)
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


@pytest.mark.slow
def test_bfloat16_trains_like_float32():
    losses = {}
    for precision in ("float32", "bfloat16"):
        settings = make_run_settings(EQUATIONS, {"seed": 0, "precision": precision}, "test")
        data = load_data(settings, "cpu")
        learner = steps.begin(settings, data["train"])
        losses[precision] = []
        for step in range(60):
            steps.train_step(learner, data["train"], settings, step, per_unit=1)
            if step % 10 == 9:
                with torch.no_grad():
                    logits = learner.model.eval()(data["train"].inputs)
                losses[precision].append(cross_entropy(logits, data["train"].labels).item())
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)
    assert losses["float32"][-1] < losses["float32"][0]
