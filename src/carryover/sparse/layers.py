"""Masked layers: any module with linear or convolution layers, its weights frozen and masked by scores."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from carryover.core import rng
from carryover.sparse.init import Distribution, draw_weights
from carryover.sparse.masks import MaskRule, masks_of
from carryover.sparse.prunable import prunable


class _Popup(nn.Module):
    """Parametrization of one weight: multiply it by the mask of its popup scores."""

    def __init__(self, scores: Tensor, rule: MaskRule):
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.rule = rule

    def forward(self, weight: Tensor) -> Tensor:
        mask = masks_of({"": self.scores[None]}, self.rule)[""][0]
        return weight * mask


def masked(
    net: nn.Module,
    rule: MaskRule,
    seed: int,
    *,
    weights: Distribution = "ku",
    scores: Distribution = "ku",
) -> nn.Module:
    """Turn `net` into a random net whose popup scores are all that can be trained; in place.

    Weights of linear and convolution layers are drawn afresh and frozen, their biases set to zero and frozen,
    as are all other parameters, at the values they have. The draws are those of the training stages, so the
    ticket of a run with the same seed fits. `torch.nn.utils.parametrize.remove_parametrizations` makes a plain
    net of it again.
    Raises ValueError when `rule.scope` is global: a layer then cannot know its mask alone.
    """
    if rule.scope == "global":
        raise ValueError(
            "masked() ranks the scores within each layer; scope 'global' needs the training stages"
        )
    net.requires_grad_(False)
    for name, fan_in in prunable(net).items():
        layer = net.get_submodule(name.rpartition(".")[0])
        weight = net.get_parameter(name)
        drawn = draw_weights(weights, weight.shape, fan_in, rng.generator(seed, "weights", name))
        popup = draw_weights(scores, weight.shape, fan_in, rng.generator(seed, "scores", name))
        with torch.no_grad():
            weight.copy_(drawn)
            if isinstance(layer.bias, Tensor):
                layer.bias.zero_()
        parametrize.register_parametrization(layer, "weight", _Popup(popup.to(weight), rule))
    return net


def popup_scores(net: nn.Module) -> dict[str, nn.Parameter]:
    """Name the popup scores of a masked net: what its optimizer should be given."""
    return {
        f"{name.removesuffix('.parametrizations.weight.0')}.weight": module.scores
        for name, module in net.named_modules()
        if isinstance(module, _Popup)
    }
