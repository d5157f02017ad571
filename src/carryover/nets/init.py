"""Random starts of nets that are trained by their weights."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from carryover.core import rng
from carryover.core.block import Tensors


def draw_default(net: nn.Module, seed: int) -> Tensors:
    """Draw theta^0: weights and biases of all linear layers and convolutions from U[-b, b], b = 1 / sqrt(fan_in).

    Returns all parameters of `net` by name, on the CPU; those that no such layer owns (batch-norm's gain and
    shift) are copies of what the net holds. Each layer has a stream of its own: "weights" and "biases" with its
    name. This is what the framework draws by default.

    Source: learning transfer, section 2.3.
    """
    parameters = {name: parameter.detach().cpu().clone() for name, parameter in net.named_parameters()}
    for layer, module in net.named_modules():
        if isinstance(module, nn.Linear | _ConvNd):
            streams = {"weight": rng.generator(seed, "weights", layer)}
            if module.bias is not None:
                streams["bias"] = rng.generator(seed, "biases", layer)
            parameters.update(_drawn(layer, module, streams))
    return parameters


def draw_head(net: nn.Module, seed: int) -> Tensors:
    """Draw only the classifier of `net` anew, from a stream that `draw_default` never uses.

    Fine-tuning starts from `{**trained, **draw_head(net, seed)}`, where `net` has the classes of the new data
    set and `trained` may come from a net with others.

    Source: learning transfer, section 1.11.
    """
    layer = head_of(net)
    module = net.get_submodule(layer)
    assert isinstance(module, nn.Linear)
    streams = {name: rng.generator(seed, "head", name) for name, _ in module.named_parameters()}
    return _drawn(layer, module, streams)


def head_of(net: nn.Module) -> str:
    """Name the classifier: the last linear layer of `net`.

    Raises ValueError when it has none.
    """
    names: list[str] = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ValueError(f"a classifier is a linear layer, and {type(net).__name__} has none")
    return names[-1]


def _drawn(layer: str, module: nn.Linear | _ConvNd, streams: dict[str, torch.Generator]) -> Tensors:
    """Draw the named parameters of one layer in fp32, each from its stream."""
    bound = 1 / sqrt(module.weight[0].numel())
    drawn: Tensors = {}
    for name, draw in streams.items():
        values: Tensor = torch.empty(module.get_parameter(name).shape, dtype=torch.float32)
        drawn[f"{layer}.{name}" if layer else name] = values.uniform_(-bound, bound, generator=draw)
    return drawn
