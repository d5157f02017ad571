import pytest
import torch
import torchvision
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from carryover.nets.build import build_net
from carryover.nets.settings import ResNetSettings


def resnet(
    depth: int, stem: str, shape: tuple[int, int, int] = (3, 32, 32), **more: float | str
) -> nn.Module:
    settings = ResNetSettings.model_validate({"kind": "resnet", "depth": depth, "stem": stem, **more})
    return build_net(settings, shape, 10, affine=True)


def fill(net: nn.Module) -> None:
    draw = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.05, generator=draw)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_a_resnet_gives_one_logit_per_class(depth: int, stem: str):
    net = resnet(depth, stem, width=0.0625).eval()
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 14, 14), (3, 20, 33)])
def test_a_resnet_takes_images_of_any_size(shape: tuple[int, int, int]):
    net = resnet(18, "cifar", shape, width=0.0625).eval()
    assert net(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(("stem", "size", "pool"), [("cifar", 32, 4), ("imagenet", 224, 7)])
def test_the_mean_before_the_head_equals_the_papers_pool(stem: str, size: int, pool: int):
    net = resnet(18, stem, width=0.0625).eval()
    fill(net)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    pooled = F.avg_pool2d(net.stages(net.stem(images)), pool)
    assert pooled.shape[-2:] == (1, 1)
    torch.testing.assert_close(net(images), net.head(pooled.flatten(1)))


@pytest.mark.parametrize("depth", [18, 50])
def test_an_imagenet_resnet_computes_what_torchvisions_does(depth: int):
    ours = build_net(
        ResNetSettings(kind="resnet", depth=depth, stem="imagenet"), (3, 64, 64), 7, affine=True
    ).eval()
    fill(ours)
    theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=7).eval()
    # both list their parameters in the order of the forward pass
    mine, yours = ours.state_dict(), theirs.state_dict()
    assert [tensor.shape for tensor in mine.values()] == [tensor.shape for tensor in yours.values()]
    theirs.load_state_dict(dict(zip(yours, mine.values(), strict=True)))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_width_never_scales_the_stem_and_then_stage_one_gains_a_projection():
    usual, wide = resnet(18, "cifar"), resnet(18, "cifar", width=2.0)
    assert usual.stem.conv.out_channels == wide.stem.conv.out_channels == 64
    assert isinstance(usual.stages.stage1.block1.shortcut, nn.Identity)
    assert wide.stages.stage1.block1.shortcut.conv.weight.shape == (128, 64, 1, 1)
    assert isinstance(wide.stages.stage1.block2.shortcut, nn.Identity)


def test_a_bottleneck_strides_on_its_3x3_convolution():
    block = resnet(50, "cifar", width=0.125).stages.stage2.block1
    strides = [convolution.stride for convolution in (block.conv1, block.conv2, block.conv3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]
    assert block.conv2.kernel_size == (3, 3)
    assert block.shortcut.conv.stride == (2, 2)


def test_stacked_resnets_train_as_each_alone():
    nets = [resnet(18, "cifar", width=0.0625).double() for _ in range(2)]
    for net in nets:
        fill(net)
    nn.init.ones_(nets[1].head.bias)
    images = torch.rand(2, 4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameters, buffers = stack_module_state(nets)
    stacked = torch.func.vmap(lambda *state: functional_call(nets[0], state[:2], state[2]))(
        parameters, buffers, images
    )
    alone = torch.stack([net(own) for net, own in zip(nets, images, strict=True)])
    torch.testing.assert_close(stacked, alone)
    for name, buffer in nets[1].named_buffers():
        torch.testing.assert_close(buffers[name][1], buffer)


@pytest.mark.parametrize("depth", [18, 50])
def test_a_resnet_without_norm_has_biases_in_its_convolutions_instead(depth: int):
    usual, plain = resnet(depth, "cifar", width=0.0625), resnet(depth, "cifar", width=0.0625, norm="none")
    assert not [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not list(plain.buffers())
    convolutions = [name for name, module in plain.named_modules() if isinstance(module, nn.Conv2d)]
    assert all(plain.get_submodule(name).bias is not None for name in convolutions)
    assert all(usual.get_submodule(name).bias is None for name in convolutions)
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    fill(plain)
    assert plain(images).shape == (2, 10)


def test_batch_norm_that_changes_nothing_leaves_the_net_without_norm():
    usual, plain = resnet(18, "cifar", width=0.0625).eval(), resnet(18, "cifar", width=0.0625, norm="none")
    fill(usual)
    state = usual.state_dict()
    for module in usual.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for name, parameter in plain.named_parameters():
        parameter.data = state.get(name, torch.zeros_like(parameter))
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(plain(images), usual(images))
