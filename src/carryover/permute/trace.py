"""Permutation specs of ordinary nets, found by following the units from layer to layer."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jaxtyping
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, fx, nn

from carryover.permute.passages import BROADCAST, FUNCTIONS, LAYERS, Passage, broadcast
from carryover.permute.spec import Axes, PermutationSpec
from carryover.permute.units import RefusedError, Units
from carryover.permute.verify import check_spec

BY_HAND = "Write the permutation spec by hand (docs/how-to/add-a-net.md) and check it with verify_spec."


def trace_spec(net: nn.Module, images: Float[Tensor, "batch *image"]) -> PermutationSpec:
    """Find the permutation spec of a net from a symbolic trace of it, run on some images.

    Follows linear layers, convolutions (ordinary and depthwise), batch, instance, group and layer norm, functions
    of single entries, sums and products, pools, means, and reshapes that keep the entries of a unit together.
    Inputs and outputs stay; a group is named after the first layer that makes its units. `net` is left as it
    was; `images` is a small batch on its device.

    Source: learning transfer, sections 1.8 and 8.
    Raises ValueError at anything that it cannot follow, naming it, and when one group lies on two axes of a
    tensor.
    """
    net = copy.deepcopy(net).eval()
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    units = Units(tensors)
    try:
        with _shapes_unchecked():
            traced = fx.symbolic_trace(net)
    except Exception as error:  # it runs the net's own code, which may fail on stand-ins in any way
        raise ValueError(
            f"trace_spec cannot run {type(net).__name__} on stand-ins for tensors: {error}. {BY_HAND}"
        ) from error
    with torch.no_grad():
        _Follower(traced, units).run(images)
    spec = units.spec()
    unseen = ", ".join(repr(name) for name in tensors if name not in spec.axes)
    if unseen:
        raise ValueError(f"trace_spec saw no layer use {unseen}. {BY_HAND}")
    try:
        check_spec(spec, tensors)
    except ValueError as error:
        raise ValueError(
            f"the spec traced from {type(net).__name__} is of no use: {error}\n{BY_HAND}"
        ) from None
    return spec


class _Follower(fx.Interpreter):
    """Runs a traced net, and follows the units through each operation."""

    def __init__(self, traced: fx.GraphModule, units: Units):
        super().__init__(traced)
        self.extra_traceback = False
        self.units = units
        self.known: dict[fx.Node, tuple[Axes, tuple[int, ...]]] = {}

    def run_node(self, node: fx.Node) -> Any:
        """Run one operation; for a tensor, note whose units lie along its axes."""
        result = super().run_node(node)
        try:
            if node.op == "output":
                if not isinstance(result, Tensor):
                    raise RefusedError("the output of a net is one tensor of logits")
                self.units.fix(*self.known[node.all_input_nodes[0]][0])
            elif isinstance(result, Tensor):
                self.known[node] = self._follow(node, result), tuple(result.shape)
            elif isinstance(result, tuple | list) and any(isinstance(part, Tensor) for part in result):
                raise RefusedError("it makes several tensors")
        except RefusedError as refused:
            raise ValueError(f"trace_spec stops at {self._place(node)}: {refused}. {BY_HAND}") from None
        return result

    def _follow(self, node: fx.Node, result: Shaped[Tensor, "*shape"]) -> Axes:
        after = tuple(result.shape)
        if node.op == "placeholder":
            return (None,) * len(after)
        if node.op == "get_attr":
            return self.units.own(result)
        inputs = [self.known[other] for other in node.all_input_nodes if other in self.known]
        name = _name(node)
        if node.op == "call_module":
            module = self.fetch_attr(name)
            follow = LAYERS.get(type(module))
        else:
            if name in BROADCAST:
                return broadcast(self.units, inputs, after)
            if not any(axis for axes, _ in inputs for axis in axes):
                return (None,) * len(after)  # made of pixels, positions and constants alone
            module, follow = None, FUNCTIONS.get(name)
        if follow is None or len(inputs) != 1:
            raise RefusedError("what it does to units is not known")
        axes, before = inputs[0]
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        return follow(self.units, Passage(name, module, dim, axes, before, after))

    def _place(self, node: fx.Node) -> str:
        """Say where in the net an operation is."""
        if node.op == "call_module":
            return f"{_name(node)!r} ({type(self.fetch_attr(_name(node))).__name__})"
        inside = [f" in {path!r}" for path in node.meta.get("nn_module_stack", ()) if path]
        return f"{node.name!r} ({_name(node)}{''.join(inside[-1:])})"


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


@contextmanager
def _shapes_unchecked() -> Iterator[None]:
    """Leave out the checks of a net's own annotations: a trace calls it with stand-ins for tensors."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
