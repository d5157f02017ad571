"""Search subnetworks of a block of random nets by edge-popup."""

from collections.abc import Sequence

from carryover.core.block import Tensors
from carryover.iterand.compact import compact
from carryover.iterand.popup import search
from carryover.iterand.settings import PopupRun
from carryover.iterand.tickets import draw_tickets
from carryover.stages._cli import run_stage
from carryover.stages._training import Group, train_block


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    train_block(__doc__, argv, PopupRun, search_group)


def search_group(group: Group, run: PopupRun) -> dict[int, Tensors]:
    """Search the tickets of one group and return each in its compact form."""
    tickets = draw_tickets(group.net, group.seeds, run, group.like)
    search(tickets, group.batches, run, group.journal)
    return compact(tickets)


if __name__ == "__main__":
    run_stage(main)
