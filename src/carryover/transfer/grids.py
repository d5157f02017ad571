"""Time grids: where along a straight line the points of a trajectory lie."""

from collections.abc import Callable
from itertools import accumulate
from math import cos, pi


def uniform(num_steps: int) -> list[float]:
    """Give lambda_t = t / T for t = 0..T.

    Source: learning transfer, section 1.6.
    """
    return [t / num_steps for t in range(num_steps + 1)]


def cosine(num_steps: int) -> list[float]:
    """Give lambda_t = sum_{u<t} (1 + cos(pi u / T)) / sum_{u<T} (1 + cos(pi u / T)): steps shrink, 0 and 1 are exact.

    Source: learning transfer, section 1.6.
    """
    sums = list(accumulate((1 + cos(pi * u / num_steps) for u in range(num_steps)), initial=0.0))
    return [part / sums[-1] for part in sums]


GRIDS: dict[str, Callable[[int], list[float]]] = {"uniform": uniform, "cosine": cosine}
"""Every grid by name; called with the number of steps T, gives T + 1 numbers from 0 to 1."""
