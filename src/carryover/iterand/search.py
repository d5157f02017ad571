"""IteRand: edge-popup that keeps redrawing the weights which its mask has pruned."""

import torch
from jaxtyping import Int
from torch import Tensor

from carryover.core.block import cross_entropy
from carryover.core.journal import Journal
from carryover.core.loop import Batches, MomentumSgd, steps
from carryover.iterand.diagnostics import Diagnostics, record_ages
from carryover.iterand.settings import IterandRun
from carryover.iterand.tickets import Tickets
from carryover.sparse.randomize import redraw_pruned_, redraw_stream
from carryover.train.schedule import learning_rate

Redrawn = dict[str, Int[Tensor, "block *shape"]]
"""For each weight, the last event that redrew it, counted from 1; 0 is the initial draw."""


def search(tickets: Tickets, batches: Batches, run: IterandRun, journal: Journal) -> Redrawn:
    """Train the scores of a block of tickets, redrawing pruned weights as it goes; in place.

    A redraw happens before the forward pass of steps K - 1, 2K - 1, ... (K = `randomize_every`), from the
    masks of the scores at that moment; scores, momenta and batch-norm statistics are left alone, so the nets
    compute the same function before and after.
    Source: IteRand, section 1.6.
    """
    optimizer = MomentumSgd(tickets.scores, momentum=run.momentum, weight_decay=run.weight_decay)
    diagnostics = Diagnostics(tickets.scores, run.diagnose_every)
    redrawn = {n: torch.zeros_like(w, dtype=torch.int32) for n, w in tickets.weights.items()}
    events = {f"redrawn/{name}": index for name, index in redrawn.items()}
    start = journal.restore({**tickets.state(), **optimizer.state(), **diagnostics.state(), **events})
    for step in steps(batches, learning_rate(run, run.score_lr), run.epochs, start):
        if (step.index + 1) % run.randomize_every == 0:
            redraw(tickets, run, (step.index + 1) // run.randomize_every, redrawn)
        losses = cross_entropy(tickets.logits(step.images), step.labels)
        diagnostics.observe(step.index, tickets.masks, journal)
        journal.close(step, optimizer.descend(step.lr, losses), tickets.predictor)
        if journal.over:
            break
    tickets.record_counts(batches.num_steps * run.epochs, journal)
    if run.diagnose_every:
        num_events = batches.num_steps * run.epochs // run.randomize_every
        event_steps = [event * run.randomize_every for event in range(num_events + 1)]
        record_ages(redrawn, tickets.masks, event_steps, journal)
    return redrawn


def redraw(tickets: Tickets, run: IterandRun, event: int, redrawn: Redrawn) -> None:
    """Let one randomization event (counted from 1) happen to every net of a block; in place."""
    with torch.no_grad():
        tickets.subnetworks()
    for name, mask in tickets.masks.items():
        for index, seed in enumerate(tickets.seeds):
            who = redraw_pruned_(
                tickets.weights[name][index],
                mask[index],
                tickets.fan_in[name],
                run.weights,
                run.randomize_prob,
                redraw_stream(seed, name, event),
            )
            redrawn[name][index].masked_fill_(who, event)
