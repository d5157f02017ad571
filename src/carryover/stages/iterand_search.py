"""Search subnetworks of a block of random nets by IteRand."""

from collections.abc import Sequence

from carryover.core.block import Tensors
from carryover.iterand.compact import compact
from carryover.iterand.search import search
from carryover.iterand.settings import IterandRun
from carryover.iterand.tickets import draw_tickets
from carryover.stages._cli import run_stage
from carryover.stages._training import Group, train_block


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    train_block(__doc__, argv, IterandRun, search_group)


def search_group(group: Group, run: IterandRun) -> dict[int, Tensors]:
    """Search the tickets of one group and return each in its compact form."""
    tickets = draw_tickets(group.net, group.seeds, run, group.like)
    redrawn = search(tickets, group.batches, run, group.journal)
    return compact(tickets, redrawn)


if __name__ == "__main__":
    run_stage(main)
