"""Edge-popup: train the popup scores of frozen random nets."""

from carryover.core.block import cross_entropy
from carryover.core.journal import Journal
from carryover.core.loop import Batches, MomentumSgd, steps
from carryover.iterand.diagnostics import Diagnostics
from carryover.iterand.settings import PopupRun
from carryover.iterand.tickets import Tickets
from carryover.train.schedule import learning_rate


def search(tickets: Tickets, batches: Batches, run: PopupRun, journal: Journal) -> None:
    """Train the scores of a block of tickets; in place. The weights never change.

    Source: edge-popup (Ramanujan et al. 2020), the baseline of IteRand, section 1.5.
    """
    optimizer = MomentumSgd(tickets.scores, momentum=run.momentum, weight_decay=run.weight_decay)
    diagnostics = Diagnostics(tickets.scores, run.diagnose_every)
    start = journal.restore({**tickets.state(), **optimizer.state(), **diagnostics.state()})
    for step in steps(batches, learning_rate(run, run.score_lr), run.epochs, start):
        losses = cross_entropy(tickets.logits(step.images), step.labels)
        diagnostics.observe(step.index, tickets.masks, journal)
        journal.close(step, optimizer.descend(step.lr, losses), tickets.predictor)
        if journal.over:
            break
    tickets.record_counts(batches.num_steps * run.epochs, journal)
