import pytest
import torch
from torch.func import functional_call, vmap

from carryover.core import rng
from carryover.metaticket.features import class_cosines, linear_cka, recorded
from carryover.nets.episode import build_episode_net
from carryover.nets.episode_settings import (
    Conv4Settings,
    EpisodeMlpSettings,
    RegressorSettings,
    ResNet12Settings,
    WideResNetSettings,
)


def drawn(*shape, stream="x"):
    return torch.randn(shape, generator=rng.generator(0, "test features", stream), dtype=torch.float64)


def test_linear_cka_is_that_of_the_feature_covariances():
    x, y = drawn(7, 3), drawn(7, 4, stream="y")
    a, b = x - x.mean(0), y - y.mean(0)
    expected = (b.T @ a).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert linear_cka(x, y).item() == pytest.approx(expected.item(), abs=1e-15)


def test_linear_cka_of_equal_features_is_exactly_one():
    for size in range(1, 30):
        x = drawn(9, size, stream=size).float()
        assert linear_cka(x, x.clone()).item() == 1.0


def test_linear_cka_ignores_rotations_shifts_and_scales_and_has_no_direction():
    x, y = drawn(8, 5), drawn(8, 5, stream="y")
    turn = torch.linalg.qr(drawn(5, 5, stream="turn")).Q
    assert linear_cka(x, 3e5 * x @ turn - 2).item() == pytest.approx(1, abs=1e-12)
    assert linear_cka(x, y).item() == pytest.approx(linear_cka(y, x @ turn).item(), abs=1e-14)
    assert 0 < linear_cka(x, y).item() < 1


def test_linear_cka_of_constant_features_is_defined():
    constant, x = torch.full((6, 3), 0.1, dtype=torch.float64), drawn(6, 3)
    assert linear_cka(constant, 2 * constant).item() == 1
    assert linear_cka(constant, x).item() == 0
    assert linear_cka(x, torch.zeros(6, 3)).item() == 0


def test_linear_cka_takes_maps_of_any_shape_and_runs_under_vmap():
    x, y = drawn(4, 6, 2, 3, 3), drawn(4, 6, 5, stream="y")
    each = torch.stack([linear_cka(*pair) for pair in zip(x, y, strict=True)])
    torch.testing.assert_close(vmap(linear_cka)(x, y), each, rtol=0, atol=1e-15)


def test_class_cosines_are_means_over_pairs():
    x, labels = drawn(5, 3), torch.tensor([0, 1, 0, 1, 1])
    pairs = [(i, j) for i in range(5) for j in range(i)]
    cosine = {(i, j): torch.cosine_similarity(x[i], x[j], dim=0).item() for i, j in pairs}
    same = [c for (i, j), c in cosine.items() if labels[i] == labels[j]]
    other = [c for (i, j), c in cosine.items() if labels[i] != labels[j]]
    assert [c.item() for c in class_cosines(x, labels)] == pytest.approx(
        [sum(same) / 4, sum(other) / 6], abs=1e-15
    )


def test_class_cosines_without_pairs_are_not_numbers():
    within, between = class_cosines(drawn(3, 2), torch.arange(3))
    assert within.isnan()
    assert between.isfinite()
    assert class_cosines(drawn(3, 2), torch.zeros(3, dtype=torch.int64))[1].isnan()


@pytest.mark.parametrize(
    ("settings", "shape", "layers"),
    [
        (EpisodeMlpSettings(kind="episode-mlp", hidden=(7, 6)), (1, 4, 4), [(7,), (6,)]),
        (Conv4Settings(kind="conv4", channels=3), (1, 32, 32), [(3, 16, 16), (3, 8, 8), (3, 4, 4), (12,)]),
        (
            ResNet12Settings(kind="resnet12", channels=(2, 3, 4, 5)),
            (1, 32, 32),
            [(2, 16, 16), (3, 8, 8), (4, 4, 4), (5,)],
        ),
        (WideResNetSettings(kind="wrn28", width=1), (1, 8, 8), [(16, 8, 8), (16, 8, 8), (32, 4, 4), (64,)]),
        (RegressorSettings(kind="regressor", hidden=5), (1,), [(5,), (5,)]),
    ],
)
def test_the_output_of_every_hidden_layer_is_recorded(settings, shape, layers):
    net = build_episode_net(settings, shape, 3)
    with recorded(net) as found:
        functional_call(net, dict(net.named_parameters()), (drawn(2, *shape).float(),))
    assert [tuple(found[number].shape[1:]) for number in sorted(found)] == layers
    with recorded(net) as again:
        pass
    assert again == {}
    assert not any(module._forward_hooks for module in net.modules())
