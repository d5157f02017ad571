"""Which groups of a permutation spec can be solved at once: those that share no tensor."""

from collections.abc import Collection, Mapping

from carryover.permute.spec import PermutationSpec


def neighbours(spec: PermutationSpec, groups: Collection[str]) -> dict[str, set[str]]:
    """Name for each of the groups those that share a tensor with it."""
    found: dict[str, set[str]] = {group: set() for group in groups}
    for axes in spec.axes.values():
        sharing = {axis.group for axis in axes if axis is not None and axis.group in found}
        for group in sharing:
            found[group] |= sharing - {group}
    return found


def colour_classes(neighbours: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Divide groups into classes that hold no neighbours: greedily, groups with many neighbours first.

    Two classes for a chain of layers, three for a residual net with projections. Groups of one class do not
    enter each other's cost matrices: solved one after another or at once, the result is the same.

    Source: learning transfer, section 6.2 (parallel groups).
    """
    classes: list[list[str]] = []
    for group in sorted(neighbours, key=lambda group: -len(neighbours[group])):
        for members in classes:
            if not set(members) & set(neighbours[group]):
                members.append(group)
                break
        else:
            classes.append([group])
    return classes
