"""MAC: units that are added to a trained net at test and learn new features, beside its frozen ones."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.metaticket.layers import hidden_layers
from carryover.metaticket.learner import Learner
from carryover.metaticket.network import Network
from carryover.metaticket.settings import WidenSettings
from carryover.nets.episode_norm import EpisodeNorm
from carryover.nets.init import head_of
from carryover.sparse.init import draw_weights

PASSED = (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Flatten)
"""What of a layer that is not widened also happens to units that were added before it: whatever changes the shape."""


class Widened(nn.Module):
    """A base net with new units in some of its hidden layers, which see the old units and are not seen by them.

    With old units h_l and new units a_l of layer l: a_l = act(norm(V_l [h_{l-1}; a_{l-1}])), and the logits are
    C h_L + b + D a_L, where C and b are the classifier of the base. Where a layer is not widened, new units of the
    layers before pass it by. V_l has a bias only where no norm follows it.
    Source: Meta-ticket, section 2.4 (MAC).
    """

    def __init__(self, base: nn.Sequential, units: int, layers: Collection[int]):
        super().__init__()
        self.base = base
        self.layers = hidden_layers(base)
        self.added = nn.ModuleDict()
        firsts = [_weighted(base, names) for names in self.layers]
        self.stem = list(base._modules)[: list(base._modules).index(self.layers[0][0])]
        self.head = head_of(base)
        head = base.get_submodule(self.head)
        assert isinstance(head, nn.Linear)
        carried = 0
        for number, names in enumerate(self.layers):
            if number in layers:
                self.added[str(number)] = self._like(names, carried, units)
                carried = units
            following: nn.Linear | nn.Conv2d = firsts[number + 1] if number + 1 < len(firsts) else head
            carried *= following.weight.shape[1] // len(
                firsts[number].weight
            )  # places of a map that is flattened
        if carried:
            self.outgoing = nn.Linear(carried, head.out_features, bias=False)

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch outputs"]:
        """Run the base, and the new units beside it."""
        own: Tensor | None = None
        for name in self.stem:
            x = self.base.get_submodule(name)(x)
        for number, names in enumerate(self.layers):
            before = x
            for name in names:
                x = self.base.get_submodule(name)(x)
            if str(number) in self.added:
                own = self.added[str(number)](before if own is None else torch.cat([before, own], 1))
            elif own is not None:
                for module in map(self.base.get_submodule, names):
                    own = module(own) if isinstance(module, PASSED) else own
        outputs: Tensor = self.base.get_submodule(self.head)(x)
        return outputs if own is None else outputs + self.outgoing(own)

    def _like(self, names: Sequence[str], carried: int, units: int) -> nn.Sequential:
        """Make a layer of new units like an old one, which sees `carried` new units more than that."""
        made: OrderedDict[str, nn.Module] = OrderedDict()
        normed = any(isinstance(self.base.get_submodule(name), EpisodeNorm) for name in names)
        for name in names:
            old = self.base.get_submodule(name)
            if isinstance(old, nn.Linear):
                made[name] = nn.Linear(old.in_features + carried, units, bias=not normed)
            elif isinstance(old, nn.Conv2d):
                size = old.kernel_size[0]
                made[name] = nn.Conv2d(
                    old.in_channels + carried, units, size, padding=size // 2, bias=not normed
                )
            else:
                made[name] = EpisodeNorm(units, old.eps) if isinstance(old, EpisodeNorm) else old
        return nn.Sequential(made)


def widened(
    network: Network, learner: Learner, settings: WidenSettings, seed: int
) -> tuple[Network, Tensors, dict[str, float | Tensor]]:
    """Widen a net; give it with its start and the rates of the inner loop.

    New weights are Kaiming normal, from streams of their own that no task and no method changes; those to the
    classifier are 0, so that the widened net begins as the base. They and the classifier's bias are trained, its
    weight too if `train_head` says so; nothing else of the base has a rate. Since the way out is 0, the first step
    moves no other new weight: features need two steps at least.
    Source: Meta-ticket, section 2.4 (MAC).
    Raises ValueError when the net is not a plain sequence of layers, or has no such layer.
    """
    base = _plain(network.net)
    num_layers = len(hidden_layers(base))
    chosen = range(num_layers) if settings.layers is None else settings.layers
    if unknown := sorted(set(chosen) - set(range(num_layers))):
        raise ValueError(
            f"widen.layers: the net has {num_layers} hidden layers, 0 to {num_layers - 1}: got {unknown[0]}"
        )
    with torch.device("meta"):  # shapes only: everything is drawn below, from streams with names
        wide = Widened(base, settings.units, chosen).requires_grad_(False)
    trained, _ = learner.parametrise()
    masks, head = learner.masks(), head_of(base)
    like = trained[f"{head}.weight"].detach()
    added = {
        name: _drawn(wide, name, seed).to(like) for name, _ in wide.named_parameters() if name[:5] != "base."
    }
    start = {**{f"base.{name}": tensor.detach() for name, tensor in trained.items()}, **added}
    rates: dict[str, float | Tensor] = dict.fromkeys([*added, f"base.{head}.bias"], settings.lr)
    if settings.train_head:
        name = f"{head}.weight"
        rates[f"base.{name}"] = settings.lr * masks[name].detach() ** 2 if name in masks else settings.lr
    return replace(network, net=wide), start, rates


def _drawn(wide: Widened, name: str, seed: int) -> Float[Tensor, "*shape"]:
    """Draw a new parameter: Kaiming normal weights, gain 1, and 0 for all others."""
    shape = wide.get_parameter(name).shape
    layer, _, kind = name.rpartition(".")
    if layer == "outgoing" or kind == "bias":
        return torch.zeros(shape)
    if isinstance(wide.get_submodule(layer), EpisodeNorm):
        return torch.ones(shape)
    return draw_weights("kn", shape, shape[1:].numel(), rng.generator(seed, "widen", name))


def _plain(net: nn.Module) -> nn.Sequential:
    """Return a net that can be widened.

    Raises ValueError for others.
    """
    if not isinstance(net, nn.Sequential) or not all(map(_is_plain, net)):
        raise ValueError(
            f"widen: units are added to plain sequences of layers (episode-mlp, conv4), and {type(net).__name__} has "
            "residual blocks or layers of another kind: test it without widen"
        )
    return net


def _is_plain(layer: nn.Module) -> bool:
    """Tell whether new units can be put beside a layer, which keeps the size of maps if it is a convolution."""
    if isinstance(layer, nn.Conv2d):
        size = layer.kernel_size[0]
        return size % 2 == 1 and layer.stride == (1, 1) and layer.padding == (size // 2, size // 2)
    return isinstance(layer, nn.Linear | EpisodeNorm) or next(layer.parameters(), None) is None


def _weighted(base: nn.Sequential, names: Sequence[str]) -> nn.Linear | nn.Conv2d:
    """Find the child with the weights of a layer, which is its first."""
    first = base.get_submodule(names[0])
    assert isinstance(first, nn.Linear | nn.Conv2d)
    return first
