import torch
from torch import nn

from carryover.nets.build import build_net
from carryover.nets.settings import MlpSettings


def test_an_mlp_flattens_its_images():
    net = build_net(MlpSettings(kind="mlp", hidden=(16,)), (1, 8, 8), 10, affine=False)
    assert net(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


def test_an_mlp_has_one_layer_per_size_and_a_relu_between_each_two():
    net = build_net(MlpSettings(kind="mlp", hidden=(16, 32)), (1, 8, 8), 10, affine=False)
    assert [name for name, _ in net.named_children()] == [
        "flatten",
        "fc1",
        "fc1_relu",
        "fc2",
        "fc2_relu",
        "fc3",
    ]
    assert [tuple(weight.shape) for weight in net.parameters()] == [(16, 64), (32, 16), (10, 32)]


def test_biases_of_an_mlp_are_off_until_asked_for():
    net = build_net(MlpSettings(kind="mlp", hidden=(16,), bias=True), (1, 8, 8), 10, affine=False)
    biases = [layer.bias for layer in net.modules() if isinstance(layer, nn.Linear)]
    assert [tuple(bias.shape) for bias in biases] == [(16,), (10,)]


def test_an_mlp_without_activation_is_a_linear_map():
    settings = MlpSettings(kind="mlp", hidden=(16, 32), activation="none")
    net = build_net(settings, (1, 8, 8), 10, affine=False)
    assert [name for name, _ in net.named_children()] == ["flatten", "fc1", "fc2", "fc3"]
    draw = torch.Generator().manual_seed(0)
    for weight in net.parameters():
        nn.init.normal_(weight, generator=draw)
    images = torch.rand(5, 1, 8, 8, generator=draw)
    product = net.fc3.weight @ net.fc2.weight @ net.fc1.weight
    torch.testing.assert_close(net(images), images.flatten(1) @ product.T, rtol=1e-4, atol=1e-3)
