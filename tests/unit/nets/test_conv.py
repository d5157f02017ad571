import pytest
import torch

from carryover.nets.build import build_net
from carryover.nets.settings import ConvSettings


@pytest.mark.parametrize("depth", [2, 4, 6, 8])
def test_a_conv_net_takes_colour_images_of_32_pixels(depth: int):
    net = build_net(ConvSettings(kind="conv", depth=depth, width=0.125), (3, 32, 32), 10, affine=False)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(("size", "depth"), [(14, 2), (14, 4), (14, 6), (28, 4), (28, 6), (28, 8)])
def test_a_conv_net_takes_grey_images_of_other_sizes(size: int, depth: int):
    net = build_net(ConvSettings(kind="conv", depth=depth, width=0.125), (1, size, size), 10, affine=False)
    assert net(torch.zeros(2, 1, size, size)).shape == (2, 10)


def test_a_conv_net_takes_images_that_are_not_square():
    net = build_net(ConvSettings(kind="conv", depth=4, width=0.125), (1, 9, 20), 10, affine=False)
    assert net(torch.zeros(2, 1, 9, 20)).shape == (2, 10)


def test_the_smallest_image_of_a_conv_net_has_one_pixel_left():
    settings = ConvSettings(kind="conv", depth=8, width=0.125)
    net = build_net(settings, (1, 16, 16), 10, affine=False)
    assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"conv of depth 8 .* at least 16x16 pixels: got 16x15"):
        build_net(settings, (1, 16, 15), 10, affine=False)


def test_layers_of_a_conv_net_alternate_as_in_the_paper():
    net = build_net(ConvSettings(kind="conv", depth=2, width=0.125), (3, 32, 32), 10, affine=False)
    names = "conv1 conv1_relu conv2 conv2_relu pool1 flatten fc1 fc1_relu fc2 fc2_relu fc3"
    assert [name for name, _ in net.named_children()] == names.split()


def test_every_layer_of_a_conv_net_has_a_bias():
    net = build_net(ConvSettings(kind="conv", depth=6, width=0.125), (3, 32, 32), 10, affine=False)
    assert sum(name.endswith("bias") for name, _ in net.named_parameters()) == 9


@pytest.mark.parametrize(("last_pool", "num_positions"), [(1, 16), (2, 4), (4, 1)])
def test_the_last_pool_decides_what_reaches_the_fully_connected_layers(last_pool: int, num_positions: int):
    settings = ConvSettings(kind="conv", depth=8, width=0.125, last_pool=last_pool)
    net = build_net(settings, (3, 32, 32), 10, affine=False)
    assert net.fc1.in_features == 64 * num_positions
    assert [net.get_submodule(f"pool{n}").kernel_size for n in range(1, 5)] == [2, 2, 2, last_pool]
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_last_pool_larger_than_what_is_left_is_refused():
    settings = ConvSettings(kind="conv", depth=8, width=0.125, last_pool=4)
    with pytest.raises(ValueError, match=r"last pool of 4 .* at least 32x32 pixels: got 28x28"):
        build_net(settings, (1, 28, 28), 10, affine=False)
