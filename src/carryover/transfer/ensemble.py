"""Ensembles: averaged predictions of several nets, and how well they are calibrated and how much they differ.

Source: learning transfer, section 3 (table 3) for averaged predictions and their accuracy.
Departs: the paper does not say what is averaged; here it is probabilities. It reports none of the other measures.
"""

from collections.abc import Sequence
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from carryover.core.evaluate import Predict, SplitBatches

NUM_BINS = 15
"""Bins of confidence of the calibration error."""

Logits = Float[Tensor, "members examples classes"]
LogProbabilities = Float[Tensor, "examples classes"]
Labels = Int[Tensor, " examples"]


@torch.no_grad()
def predictions(members: Sequence[Predict], split: SplitBatches) -> tuple[Logits, Labels]:
    """Collect the logits of each member on a split, one member after the other, and the labels."""
    logits = [torch.cat([predict(images[None])[0] for images, _ in split]) for predict in members]
    return torch.stack(logits), torch.cat([labels for _, labels in split])


def averaged(logits: Logits) -> LogProbabilities:
    """Average the members' predicted probabilities; logarithms, in fp64."""
    return logits.double().log_softmax(-1).logsumexp(0) - log(len(logits))


def accuracy(scores: Float[Tensor, "*members examples classes"], labels: Labels) -> float:
    """Give the fraction of right predictions, over all members if there are several."""
    return (scores.argmax(-1) == labels).double().mean().item()


def negative_log_likelihood(ensemble: LogProbabilities, labels: Labels) -> float:
    """Give the mean negative log-probability of the labels, in nats per example."""
    return F.nll_loss(ensemble, labels.long()).item()


def calibration_error(ensemble: LogProbabilities, labels: Labels, num_bins: int = NUM_BINS) -> float:
    """Give the expected calibration error: sum over bins of |right - confidence|, in shares of all examples.

    Confidence is the probability of the predicted class; bins are equally wide, each with its upper edge.
    Source: Naeini et al. 2015, as in Guo et al. 2017.
    """
    confidence, predicted = ensemble.exp().max(-1)
    bins = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    gaps = torch.zeros(num_bins, dtype=torch.float64, device=bins.device)
    gaps.index_add_(0, bins, (predicted == labels).double() - confidence)
    return gaps.abs().sum().item() / len(labels)


def disagreement(logits: Logits) -> float:
    """Give the fraction of examples on which two members predict differently, averaged over all pairs of members.

    A single member disagrees with none: 0.
    """
    num_members, _, num_classes = logits.shape
    if num_members == 1:
        return 0.0
    votes = F.one_hot(logits.argmax(-1), num_classes).sum(0).double()  # of each example for each class
    agreeing = (votes * (votes - 1)).sum(-1) / (num_members * (num_members - 1))
    return 1 - agreeing.mean().item()


def measure_ensemble(logits: Logits, labels: Labels) -> dict[str, float]:
    """Measure an ensemble: its accuracy beside that of its members on average, and the rest of this module."""
    ensemble = averaged(logits)
    return {
        "accuracy": accuracy(ensemble, labels),
        "member_accuracy": accuracy(logits, labels),
        "nll": negative_log_likelihood(ensemble, labels),
        "ece": calibration_error(ensemble, labels),
        "disagreement": disagreement(logits),
    }
