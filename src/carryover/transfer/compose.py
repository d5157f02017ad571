"""The transferred point: a target's start, and the permuted way of a source added to it."""

from collections.abc import Sequence

from carryover.core.block import Tensors
from carryover.core.trajectory import Trajectory
from carryover.permute.permutation import permute
from carryover.permute.spec import Permutation, PermutationSpec
from carryover.transfer.vectors import difference, moved


def carried(
    spec: PermutationSpec, permutation: Permutation, target: Tensors, displacement: Tensors
) -> Tensors:
    """Add the permuted displacement of a source to a target: theta2 + act(pi, displacement).

    Source: learning transfer, section 1.2.
    """
    return moved(target, permute(spec, permutation, displacement), 1.0)


def compose(
    target: Tensors,
    permutations: Sequence[Permutation],
    trajectory: Trajectory,
    t: int,
    spec: PermutationSpec,
    num_segments: int = 1,
) -> Tensors:
    """Build theta2^t = theta2^0 + act(pi, theta1^t - theta1^0) from theta2^0, always from scratch.

    `permutations` are those of the first of `num_segments` segments of the trajectory; the last of them holds up to
    t, each one before it to the end of its segment. `target` is theta2^0 and `trajectory` the source's.

    Source: learning transfer, section 1.2; segments, section 1.3.
    """
    starts = segment_starts(trajectory.num_steps, num_segments)[: len(permutations)]
    assert starts[-1] <= t <= trajectory.num_steps, f"point {t} lies before the last of the segments"
    composed, before = target, trajectory.point(0)
    for permutation, end in zip(permutations, [*starts[1:], t], strict=True):
        now = trajectory.point(end)
        composed, before = carried(spec, permutation, composed, difference(now, before)), now
    return composed


def segment_starts(num_steps: int, num_segments: int) -> list[int]:
    """Cut a trajectory into segments that differ by at most one step; give the step at which each begins.

    Raises ValueError when there are more segments than steps.
    """
    if not 1 <= num_segments <= num_steps:
        raise ValueError(
            f"segments: each needs a step of the trajectory, which has {num_steps}: got {num_segments}; "
            "choose fewer segments, or a trajectory of more steps"
        )
    return [number * num_steps // num_segments for number in range(num_segments)]
