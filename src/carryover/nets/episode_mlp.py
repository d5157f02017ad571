"""Multilayer perceptrons of few-shot learning: with batch-norm for images, without for sinusoids."""

import math
from collections import OrderedDict
from itertools import pairwise

from torch import nn

from carryover.nets.episode_norm import EpisodeNorm
from carryover.nets.episode_settings import EpisodeMlpSettings, RegressorSettings
from carryover.nets.mlp import fully_connected

EPS = 1e-3


def episode_mlp(
    settings: EpisodeMlpSettings, input_shape: tuple[int, ...], num_outputs: int, *, norm: bool
) -> nn.Sequential:
    """Flatten, then linear, batch-norm (eps 1e-3) and ReLU for each hidden layer, then the classifier.

    Source: Meta-ticket, section 3.1.
    """
    hidden = [settings.width * units for units in settings.hidden]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (num_inputs, units) in enumerate(pairwise((math.prod(input_shape), *hidden)), start=1):
        layers[f"fc{number}"] = nn.Linear(num_inputs, units)
        if norm:
            layers[f"norm{number}"] = EpisodeNorm(units, EPS)
        layers[f"relu{number}"] = nn.ReLU()
    layers["classifier"] = nn.Linear(hidden[-1], num_outputs)
    return nn.Sequential(layers)


def regressor(
    settings: RegressorSettings, input_shape: tuple[int, ...], num_outputs: int, *, norm: bool
) -> nn.Sequential:
    """Two hidden layers with ReLU; there is no batch-norm for `norm` to act on.

    Source: Meta-ticket, section 3.4.
    """
    sizes = (math.prod(input_shape), settings.hidden, settings.hidden, num_outputs)
    return nn.Sequential(fully_connected(sizes, bias=True))
