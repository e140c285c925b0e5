"""Models against their published shapes and straightforward computations."""

import pytest
import torch
from actdim import registry
from actdim.datasets.dataset import DataSet
from actdim.errors import UserError
from actdim.models.layers import forward, layer_names
from conftest import build_named

IMAGES = DataSet(shape=(3, 32, 32), classes=10, sizes={}, load=dict)
TOKENS = DataSet(shape=(4,), classes=97, sizes={}, load=dict, vocabulary=99)


def make(data=IMAGES, **settings):
    torch.manual_seed(0)
    return build_named(registry.MODELS, settings, data)


def test_resnet18_is_the_one_for_small_images():
    """It has 11,173,962 parameters on CIFAR-10, and the paper's widths of activations."""
    model = make(name="resnet18")
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962
    _, outputs = forward(model, torch.randn(2, 3, 32, 32), layer_names(model, ["all"]))
    widths = {name: output.flatten(1).shape[1] for name, output in outputs.items()}
    assert list(widths) == ["input", "stem", "stage1", "stage2", "stage3", "stage4", "pool"]
    assert list(widths.values())[1:] == [65536, 65536, 32768, 16384, 8192, 512]


def test_resnet18_dropout_follows_stem_stages_and_pool():
    model = make(name="resnet18", width=4, dropout=0.3, classifier_dropout=0.5)
    rates = []
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(lambda m, arguments, output: rates.append(m.p))
    model(torch.randn(2, 3, 32, 32))
    assert rates == [0.3] * 5 + [0.5]


def test_transformer_computes_the_last_position_alone_in_training():
    model = make(TOKENS, name="transformer", dropout=0.0)
    tokens = torch.randint(0, 99, (8, 4))
    torch.testing.assert_close(model.train()(tokens), model.eval()(tokens))
    shapes = []
    model.blocks[-1].mlp.register_forward_hook(lambda m, arguments, output: shapes.append(tuple(output.shape)))
    model.train()(tokens)
    model.eval()(tokens)
    assert shapes == [(8, 1, 128), (8, 4, 128)]


def test_transformer_gradients_are_those_of_all_positions():
    model = make(TOKENS, name="transformer", dropout=0.0)
    tokens = torch.randint(0, 99, (8, 4))
    gradients = []
    for mode in (True, False):
        model.zero_grad()
        model.train(mode)(tokens).logsumexp(1).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    torch.testing.assert_close(*gradients)


def test_transformer_attention_is_causal_softmax_attention():
    attention = make(TOKENS, name="transformer").blocks[0].attention
    x = torch.randn(3, 4, 128)
    query, (key, value) = attention.query(x), attention.key_value(x).chunk(2, dim=2)
    heads = []
    for part in range(4):
        q, k, v = (tensor[:, :, 32 * part : 32 * (part + 1)] for tensor in (query, key, value))
        scores = q @ k.transpose(1, 2) / 32**0.5
        scores = scores.masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf)
        heads.append(scores.softmax(2) @ v)
    torch.testing.assert_close(attention(x), attention.out(torch.cat(heads, dim=2)))


def test_mlp():
    model = make(DataSet(shape=(1, 8, 8), classes=10, sizes={}, load=dict), name="mlp", depth=3, width=20)
    _, outputs = forward(model, torch.randn(5, 1, 8, 8), layer_names(model, ["all"]))
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "input": (5, 1, 8, 8),
        "hidden1": (5, 20),
        "hidden2": (5, 20),
        "hidden3": (5, 20),
    }


@pytest.mark.parametrize(("data", "name"), [(IMAGES, "transformer"), (TOKENS, "resnet18"), (TOKENS, "mlp")])
def test_a_model_refuses_data_it_cannot_read(data, name):
    with pytest.raises(UserError, match=name):
        make(data, name=name)


def test_the_layer_that_feeds_the_classifier_is_the_last():
    for data, name in ((IMAGES, "resnet18"), (IMAGES, "mlp"), (TOKENS, "transformer")):
        model = make(data, name=name).eval()
        inputs = torch.randn(4, 3, 32, 32) if data is IMAGES else torch.randint(0, 99, (4, 4))
        logits, outputs = forward(model, inputs, [model.layers[-1]])
        torch.testing.assert_close(model.classifier(outputs[model.layers[-1]]), logits)
