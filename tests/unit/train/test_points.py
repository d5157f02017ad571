import pytest

from carryover.train.points import recorded_steps


@pytest.mark.parametrize(
    ("record", "every", "steps"),
    [
        ("ends", 1, [0, 12]),
        ("ends", 5, [0, 12]),
        ("epochs", 1, [0, 3, 6, 9, 12]),
        ("epochs", 2, [0, 6, 12]),
        ("epochs", 3, [0, 9, 12]),
        ("epochs", 9, [0, 12]),
        ("steps", 4, [0, 4, 8, 12]),
        ("steps", 5, [0, 5, 10, 12]),
        ("steps", 1, list(range(13))),
    ],
)
def test_points_are_the_ends_and_what_lies_between_them(record, every, steps):
    assert recorded_steps(record, every, num_epochs=4, epoch_steps=3) == steps
