"""The autoencoder-bottleneck regularizer."""

import copy

import numpy as np
import pytest
import torch
from actdim.study.run_settings import make_run_settings
from actdim.training.batches import take_batch
from actdim.training.bottleneck import Autoencoder, watch
from actdim.training.loop import evaluate, load_data
from actdim.training.step import begin, class_weights, train_step
from sklearn.decomposition import PCA
from sklearn.utils.class_weight import compute_class_weight

STUDY = {
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "width": 32, "dropout": 0.1},
    "training": {"lr": 0.1, "momentum": 0.9, "batch_size": 100, "steps": 300},
}


@pytest.fixture(autouse=True)
def one_thread():
    """As in a training, whose study sets the number of threads."""
    torch.set_num_threads(1)


def train(steps, **training):
    """Return the Learner after some steps, and the data."""
    settings = make_run_settings(STUDY | {"training": STUDY["training"] | training}, {"seed": 0}, "study")
    data = load_data(settings, torch.device("cpu"))
    learner = begin(settings, data["train"])
    for step in range(steps):
        train_step(learner, data["train"], settings, step, per_unit=1)
    return learner, data, settings


def weights(learner):
    return torch.cat([parameter.detach().flatten() for parameter in learner.model.parameters()])


def bottleneck(**other):
    return {"layer": "hidden2", "width": 2} | other


def variance_in(learner, data, components):
    """Return the share of hidden2's variance in that many principal components."""
    with torch.no_grad():
        hidden = learner.model.eval().hidden2(learner.model.hidden1(data["validation"].inputs.flatten(1)))
    return PCA(components).fit(hidden).explained_variance_ratio_.sum()


def test_it_makes_a_layer_simpler():
    free, data, _ = train(300)
    bound, _, settings = train(300, bottleneck=bottleneck(weight=3.0))
    assert variance_in(bound, data, 3) > variance_in(free, data, 3) + 0.15
    metrics = evaluate(bound, data, settings.training)
    assert metrics["validation_accuracy"] > 0.85
    assert metrics["validation_reconstruction_error"] < 0.3
    assert "validation_reconstruction_error" not in evaluate(free, data, settings.training)


def test_in_the_burn_in_the_autoencoder_learns_alone():
    """During the burn-in the model's weights are the same as without an autoencoder, bit for bit; then they differ."""
    free, _, _ = train(30)
    burning, data, settings = train(30, bottleneck=bottleneck(burn_in=30))
    assert torch.equal(weights(free), weights(burning))
    fresh, _, _ = train(0, bottleneck=bottleneck(burn_in=30))
    assert not torch.equal(fresh.autoencoder.decoder[2].weight, burning.autoencoder.decoder[2].weight)
    train_step(burning, data["train"], settings, 30, per_unit=1)
    after, _, _ = train(31)
    assert not torch.equal(weights(after), weights(burning))


def test_the_loss_is_cross_entropy_plus_the_weighted_error():
    """One step, against the gradient of the formula on copies."""
    learner, data, settings = train(0, bottleneck=bottleneck(weight=0.5), momentum=0.0)
    model, autoencoder = copy.deepcopy(learner.model), copy.deepcopy(learner.autoencoder)
    torch.manual_seed(settings.seed)  # for the dropout
    begin(settings, data["train"])
    state = torch.get_rng_state()
    train_step(learner, data["train"], settings, 0, per_unit=1)
    torch.set_rng_state(state)

    inputs, labels = take_batch(data["train"], settings, 0)
    model.train()
    first = model.dropout(model.hidden1(inputs.flatten(1)))
    hidden = model.hidden2(first)
    logits = model.classifier(model.dropout(hidden))
    centered = hidden - hidden.mean(0)
    x = centered / (centered**2).mean().sqrt()
    hidden_code = (x @ autoencoder.encoder[0].weight.T + autoencoder.encoder[0].bias).relu()
    code = hidden_code @ autoencoder.encoder[2].weight.T + autoencoder.encoder[2].bias
    assert code.shape[1] == 2
    back = autoencoder.decoder(code)
    lost = ((back - x) ** 2).sum() / (x**2).sum()
    loss = -logits.log_softmax(1)[range(len(labels)), labels].mean() + 0.5 * lost
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    expected = [p - 0.1 * g for p, g in zip(model.parameters(), gradients, strict=True)]
    torch.testing.assert_close(list(learner.model.parameters()), expected, rtol=1e-4, atol=1e-6)


def test_the_last_block_of_a_transformer(monkeypatch):
    """The autoencoder reads all positions, in training and in evaluation."""
    monkeypatch.setitem(STUDY, "dataset", {"name": "modular", "modulus": 11})
    monkeypatch.setitem(STUDY, "model", {"name": "transformer", "width": 16})
    learner, data, settings = train(3, bottleneck={"layer": "blocks.1.mlp", "width": 2}, batch_size=16)
    assert learner.watched["values"].shape == (16, 4, 16)
    assert evaluate(learner, data, settings.training)["train_reconstruction_error"] > 0


def test_what_a_module_reads_can_be_watched():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    inputs = torch.randn(5, 3)
    seen = watch(model, "2.input")
    model(inputs)
    torch.testing.assert_close(seen["values"], model[:2](inputs))


def test_relative_error_does_not_depend_on_scale_or_place():
    torch.manual_seed(0)
    autoencoder = Autoencoder(20, 3)
    x = torch.randn(50, 4, 5)
    assert autoencoder.error(1e-3 * x + 2).item() == pytest.approx(autoencoder.error(x).item(), rel=1e-3)
    assert autoencoder.error(torch.zeros(50, 20)).isfinite()


def test_balanced_class_weights_are_scikit_learns():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    torch.testing.assert_close(class_weights("balanced", labels, 3).double(), torch.from_numpy(theirs))
