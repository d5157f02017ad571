"""Oracle 9: schedules and the trajectories that are made with them."""

from itertools import pairwise

import pytest
import torch
from transfer_problems import Recorded, near, same, start_of

from carryover.core.trajectory import Trajectory
from carryover.transfer.grids import GRIDS, cosine, uniform
from carryover.transfer.trajectories import Linear, Part, Picked, Through

LENGTHS = [1, 2, 3, 7, 10, 30, 60]


def recorded(num_steps=5):
    return Recorded([start_of("shallow", seed) for seed in range(num_steps + 1)])


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("num_steps", LENGTHS)
def test_a_grid_rises_from_exactly_0_to_exactly_1(grid, num_steps):
    lambdas = GRIDS[grid](num_steps)
    assert len(lambdas) == num_steps + 1
    assert (lambdas[0], lambdas[-1]) == (0.0, 1.0)
    assert all(before < after for before, after in pairwise(lambdas))


@pytest.mark.parametrize("num_steps", LENGTHS)
def test_the_steps_of_the_uniform_grid_are_equal(num_steps):
    assert uniform(num_steps) == pytest.approx([t / num_steps for t in range(num_steps + 1)], abs=1e-15)


def test_the_cosine_grid_of_10_steps_begins_with_2_of_11():
    assert cosine(10)[1] == pytest.approx(2 / 11, abs=1e-15)


@pytest.mark.parametrize("num_steps", LENGTHS)
def test_the_steps_of_the_cosine_grid_never_grow(num_steps):
    widths = [after - before for before, after in pairwise(cosine(num_steps))]
    assert all(after <= before + 1e-15 for before, after in pairwise(widths))


def test_a_line_goes_from_its_start_to_its_end_and_between_them_as_the_grid_says():
    start, end = start_of("shallow", 1), start_of("shallow", 2)
    line = Linear(start, end, cosine(4))
    assert isinstance(line, Trajectory)
    assert line.num_steps == 4
    assert same(line.point(0), start)
    assert same(line.point(4), end)
    for t, position in enumerate(cosine(4)):
        assert near(line.point(t), {n: (1 - position) * start[n] + position * end[n] for n in start})


def test_points_of_a_line_are_the_callers_own():
    start = start_of("shallow", 1)
    line = Linear({n: own.clone() for n, own in start.items()}, start_of("shallow", 2), uniform(2))
    for tensor in line.point(0).values():
        tensor.zero_()
    assert same(line.point(0), start)


def test_a_recorded_trajectory_taken_whole_is_itself():
    trajectory = recorded()
    for own in (Picked(trajectory, every=1), Through(trajectory, uniform(1)), Part(trajectory, 0, 5)):
        assert isinstance(own, Trajectory)
        assert own.num_steps == 5
        assert all(same(own.point(t), trajectory.points[t]) for t in range(6))


@pytest.mark.parametrize(
    ("every", "taken"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4, 5]), (5, [0, 5]), (9, [0, 5])]
)
def test_picked_points_always_include_the_first_and_the_last(every, taken):
    trajectory = recorded()
    picked = Picked(trajectory, every=every)
    assert picked.num_steps == len(taken) - 1
    for t, original in enumerate(taken):
        assert same(picked.point(t), trajectory.points[original])
    assert trajectory.read == taken


def test_substeps_pass_through_every_point_with_the_grid_in_each_gap():
    trajectory = recorded(2)
    grid = cosine(3)
    through = Through(trajectory, grid)
    assert through.num_steps == 6
    for t in range(7):
        gap, position = divmod(t, 3)
        before, after = trajectory.points[gap], trajectory.points[min(gap + 1, 2)]
        expected = {n: torch.lerp(before[n], after[n], grid[position]) for n in before}
        assert same(through.point(t), expected)


def test_reading_a_point_reads_only_the_recorded_ones_around_it():
    trajectory = recorded()
    through = Through(trajectory, uniform(2))
    through.point(4)
    assert trajectory.read == [2]
    through.point(7)
    assert trajectory.read == [2, 3, 4]


def test_a_part_counts_its_points_from_its_own_start():
    trajectory = recorded()
    part = Part(trajectory, 2, 4)
    assert part.num_steps == 2
    assert [same(part.point(t), trajectory.points[2 + t]) for t in range(3)] == [True] * 3
    with pytest.raises(AssertionError, match="points are 0 to 2"):
        part.point(3)
