import torch

from carryover.core.evaluate import Evaluation
from carryover.core.journal import Journal
from carryover.core.resume import NoResume
from carryover.core.rng import generator
from carryover.iterand.compact import compact
from carryover.iterand.diagnostics import Diagnostics, fraction, record_ages


class Bar:
    def update(self, step, **postfix):
        pass


def new_journal(num_nets: int) -> Journal:
    return Journal(range(num_nets), Evaluation({}, num_nets, 1, 1, "none"), NoResume(), Bar())


def noted(journal: Journal) -> list[tuple]:
    return [(row["step"], row["metric"], row["seed"], row["value"]) for row in journal.rows]


def masks_over_time(num_steps: int) -> list[dict[str, torch.Tensor]]:
    draw = generator(0, "masks")
    shapes = {"a": (2, 3, 4), "b": (2, 5)}
    return [
        {name: (torch.rand(shape, generator=draw) < 0.1).float() for name, shape in shapes.items()}
        for _ in range(num_steps)
    ]


def flat(masks: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([m.flatten(1) for m in masks.values()], dim=1).bool()


def test_a_fraction_is_of_all_weights_of_a_net():
    marks = {"a": torch.tensor([[True, False], [False, False]]), "b": torch.tensor([[True] * 6, [False] * 6])}
    assert fraction(marks) == [7 / 8, 0.0]


def test_turnover_and_never_kept_are_what_counting_finds():
    history = masks_over_time(9)
    journal = new_journal(2)
    diagnostics = Diagnostics(history[0], 3)
    for step, masks in enumerate(history):
        diagnostics.observe(step, masks, journal)
    everything = [flat(masks) for masks in history]
    expected = []
    for done in (3, 6, 9):
        if done > 3:
            changed = everything[done - 1] != everything[done - 4]
            expected += [(done, "turnover", seed, changed[seed].double().mean().item()) for seed in (0, 1)]
        never = ~torch.stack(everything[:done]).any(0)
        expected += [(done, "never_kept", seed, never[seed].double().mean().item()) for seed in (0, 1)]
    assert noted(journal) == expected
    assert all(0 < row[-1] < 1 for row in expected)


def test_nothing_is_watched_when_every_is_0():
    history, journal = masks_over_time(2), new_journal(2)
    diagnostics = Diagnostics(history[0], 0)
    diagnostics.observe(0, history[0], journal)
    assert not journal.rows
    assert not diagnostics.state()


def test_ages_are_fractions_of_the_kept_weights_by_their_last_event():
    redrawn = {"a": torch.tensor([[0, 2, 2, 1]]), "b": torch.tensor([[0, 1]])}
    masks = {"a": torch.tensor([[1.0, 1, 0, 1]]), "b": torch.tensor([[1.0, 0]])}
    journal = new_journal(1)
    record_ages(redrawn, masks, [0, 10, 20], journal)
    ages = [(step, value) for step, _, _, value in noted(journal)]
    assert ages == [(0, 0.5), (10, 0.25), (20, 0.25)]


def test_a_search_records_turnover_every_so_often_and_ages_that_sum_to_one(lab):
    trained = lab.train(lab.run(diagnose_every=5, randomize_every=4))
    rows = trained.rows(1)
    assert [step for _, metric, step, _ in rows if metric == "turnover"] == [10, 15, 20]
    assert [step for _, metric, step, _ in rows if metric == "never_kept"] == [5, 10, 15, 20]
    ages = [(step, value) for _, metric, step, value in rows if metric == "last_redraw"]
    assert [step for step, _ in ages] == [0, 4, 8, 12, 16, 20]
    assert abs(sum(value for _, value in ages) - 1) < 1e-12


def test_never_kept_falls_and_the_last_masks_count(lab):
    trained = lab.train(lab.run("popup", diagnose_every=1))
    rows = trained.rows(0)
    values = [value for _, metric, _, value in rows if metric == "never_kept"]
    assert values == sorted(values, reverse=True)
    assert values[0] == 0.5
    assert len([1 for row in rows if row[1] == "turnover"]) == 19


def test_watching_does_not_change_the_training(lab):
    with_it, without = lab.train(lab.run(diagnose_every=2)), lab.train(lab.run())
    own = [row for row in with_it.rows(0) if row[1] not in ("turnover", "never_kept", "last_redraw")]
    assert own == without.rows(0)
    stored = compact(with_it.block, with_it.redrawn)[0]
    assert all(torch.equal(t, compact(without.block, without.redrawn)[0][n]) for n, t in stored.items())
