"""Hidden layers of a net: which of its parts, in order, make one layer from its weights to what the next one sees."""

from torch import nn
from torch.nn.modules.conv import _ConvNd

from carryover.nets.init import head_of


def hidden_layers(net: nn.Module) -> list[tuple[str, ...]]:
    """Name the children of `net` that make each hidden layer, in the order in which they run.

    A child with weights begins a layer, and norms, activations, pools and the like behind it belong to it: a linear
    layer or a convolution with its ReLU, one residual block, or one stage of blocks. What stands before the first
    weights belongs to none, nor does the classifier.
    Raises ValueError when the classifier is not a child of `net`, so that children do not tell its layers.
    """
    head = head_of(net)
    layers: list[tuple[str, ...]] = []
    for name, child in net.named_children():
        if name == head:
            return layers
        if any(isinstance(module, nn.Linear | _ConvNd) for module in child.modules()):
            layers.append((name,))
        elif layers:
            layers[-1] += (name,)
    raise ValueError(
        f"the layers of {type(net).__name__} are not its children, since its classifier {head} is inside of one: "
        "put the layers into one module, such as nn.Sequential, with the classifier as the last"
    )
