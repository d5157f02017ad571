"""Gradient matching along the transferred trajectory (GMT), and its fast form (FGMT)."""

from collections.abc import Iterator

from carryover.permute.matching import Matching
from carryover.transfer.search import Search


def gmt(search: Search) -> Iterator[Matching]:
    """Yield pi_1, pi_2, ...: at each step s match the gradients at all t < s, the target's computed anew.

    The target's point of each t is composed with the newest permutation. The source's gradients do not depend on
    it and are computed once: T + T(T+1)/2 gradient evaluations. From step to step only the permutation is handed
    on, so that what was found before an interruption need not be found again.

    Source: learning transfer, section 1.4 (Algorithm 1).
    Departs: the batches of a t are the same in every step, so that source gradients can be kept.
    """
    for s in range(1, search.num_steps + 1):
        if known := search.recall(s):
            yield known
            continue
        search.forget()
        for t in range(s):
            search.pairs.append(search.target_gradient(t), search.source_gradient(t))
        yield search.solve(s)


def fgmt(search: Search) -> Iterator[Matching]:
    """Yield pi_1, pi_2, ...: at each step s add the gradients at t = s - 1 to those of the steps before.

    Older target gradients stay as they were computed, with the permutation of their time: 2T gradient evaluations.
    An interrupted search is repeated: cost matrices carry the rounding of every step, which then comes out the same.

    Source: learning transfer, section 1.5 (Algorithm 2).
    """
    for s in range(1, search.num_steps + 1):
        search.pairs.append(*search.gradients(s - 1))
        yield search.solve(s)
