import pytest
import torch
from torch import nn

from carryover.nets.build import NETS, build_net
from carryover.nets.settings import ConvSettings, MlpSettings, NetSettings, ResNetSettings
from carryover.nets.specs import SPECS, spec_of
from carryover.permute.spec import Axis

MLP = MlpSettings(kind="mlp", hidden=(32, 16))
CONV = ConvSettings(kind="conv", depth=6, width=0.125)
RESNET = ResNetSettings(kind="resnet", depth=50, width=0.125, stem="cifar")
EVERY_KIND = pytest.mark.parametrize("settings", [MLP, CONV, RESNET], ids=lambda settings: settings.kind)


def test_every_kind_of_net_has_its_builder():
    assert set(NETS) == {"mlp", "conv", "resnet"}


def test_every_kind_of_net_has_its_permutation_spec_written():
    assert set(SPECS) == set(NETS)


@EVERY_KIND
def test_a_kind_without_a_spec_is_traced(settings: NetSettings, monkeypatch: pytest.MonkeyPatch):
    written = spec_of(settings, (3, 32, 32), 10)
    monkeypatch.delitem(SPECS, settings.kind)
    found = spec_of(settings, (3, 32, 32), 10)
    assert {name: [axis is None for axis in axes] for name, axes in found.axes.items()} == {
        name: [axis is None for axis in axes] for name, axes in written.axes.items()
    }
    assert len(found.groups) == len(written.groups)


def test_a_spec_knows_the_positions_that_reach_the_first_linear_layer():
    assert spec_of(CONV, (1, 16, 25), 10).axes["fc1.weight"] == (Axis("fc1"), Axis("conv6", 2 * 3))
    with pytest.raises(ValueError, match="at least 8x8 pixels: got 7x9"):
        spec_of(CONV, (1, 7, 9), 10)


@EVERY_KIND
def test_building_a_net_leaves_torchs_global_generator_alone(settings: NetSettings):
    before = torch.get_rng_state()
    build_net(settings, (3, 32, 32), 10, affine=True)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_KIND
def test_a_built_net_holds_nothing_drawn(settings: NetSettings):
    state = build_net(settings, (3, 32, 32), 10, affine=True).state_dict()
    for name, tensor in state.items():
        starts_at_one = name.endswith("running_var") or ("norm" in name and name.endswith("weight"))
        assert torch.equal(tensor, torch.full_like(tensor, int(starts_at_one))), name


def test_affine_gives_batch_norm_its_parameters_and_nothing_else():
    plain, affine = (
        dict(build_net(RESNET, (3, 32, 32), 10, affine=a).named_parameters()) for a in (False, True)
    )
    added = set(affine) - set(plain)
    assert set(plain) < set(affine)
    assert added
    assert all("norm" in name for name in added)


def test_batch_norm_tracks_statistics_with_momentum_a_tenth():
    for affine in (False, True):
        net = build_net(RESNET, (3, 32, 32), 10, affine=affine)
        norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert all(norm.momentum == 0.1 and norm.track_running_stats for norm in norms)
