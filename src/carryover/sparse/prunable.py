"""Which weights of a net a mask may prune, and the fan-in that their distributions need."""

from torch import nn
from torch.nn.modules.conv import _ConvNd


def prunable(net: nn.Module) -> dict[str, int]:
    """Name every weight that a mask may prune, with its fan-in: linear and convolution layers of `net`.

    The fan-in is the number of products that one output sums: in-features, or in-channels per group times
    kernel area.
    """
    found = {}
    for name, module in net.named_modules():
        key = f"{name}.weight" if name else "weight"
        if isinstance(module, nn.Linear):
            found[key] = module.in_features
        elif isinstance(module, _ConvNd):
            found[key] = module.in_channels // module.groups * module.weight[0, 0].numel()
    return found
