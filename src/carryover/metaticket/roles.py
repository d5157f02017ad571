"""Which part each parameter of a net plays, told by the module that owns it and never by its name."""

from torch import nn
from torch.nn.modules.conv import _ConvNd

from carryover.metaticket.methods import Role
from carryover.metaticket.settings import FewshotTraining
from carryover.nets.init import head_of
from carryover.sparse.prunable import prunable


def roles_of(net: nn.Module) -> dict[str, Role]:
    """Give the role of every parameter, in the order of the net.

    The head is the last linear layer, weight and bias; weights of other linear layers and convolutions are the body,
    their biases the bias; whatever else has parameters is a norm.
    Source: Meta-ticket, sections 1.7 and 2 (by substrings of names there).
    """
    head = head_of(net)
    roles: dict[str, Role] = {}
    for layer, module in net.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            full = f"{layer}.{name}" if layer else name
            if layer == head:
                roles[full] = "head"
            elif isinstance(module, nn.Linear | _ConvNd):
                roles[full] = "body" if name == "weight" else "bias"
            else:
                roles[full] = "norm"
    return {name: roles[name] for name, _ in net.named_parameters()}


def maskable(net: nn.Module, run: FewshotTraining) -> dict[str, int]:
    """Name the weights that a mask may prune, with their fan-in.

    Source: Meta-ticket, sections 1.7 and 1.8 (`body+head` is prune-out, `inner` the sinusoid's middle layer).
    """
    fan_in, roles = prunable(net), roles_of(net)
    body = [name for name in fan_in if roles[name] == "body"]
    match run.masked:
        case "body":
            return {name: fan_in[name] for name in body}
        case "inner":
            return {name: fan_in[name] for name in body[1:]}
    return {name: fan for name, fan in fan_in.items() if roles[name] in ("body", "head")}
