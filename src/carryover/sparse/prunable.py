"""Which weights of a net a mask may prune, the fan-in that their distributions need, and their draws."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from carryover.core import rng
from carryover.core.block import stack
from carryover.sparse.init import Distribution, draw_weights


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


def draw_layers(
    net: nn.Module, seeds: Sequence[int], distribution: Distribution, stream: str
) -> dict[str, Float[Tensor, "block *shape"]]:
    """Draw a tensor like each prunable weight for each seed, stacked: `stream` is "weights" or "scores".

    Every seed and layer has its own stream, which no method and no block changes: that is what pairs the arms
    of a comparison.
    """
    fan_in = prunable(net)
    return stack(
        {
            name: draw_weights(
                distribution, net.get_parameter(name).shape, fan, rng.generator(seed, stream, name)
            )
            for name, fan in fan_in.items()
        }
        for seed in seeds
    )
