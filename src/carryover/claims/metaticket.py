"""What is claimed of Meta-ticket, each claim with the comparisons that test it and its margin.

Of the paper's results only the abstract was available when this was written: a claim with the basis `abstract` is one
of its sentences, `replica` is an ordering that a small replica of its experiments showed, and `own` is a question of
this project. Differences are of the same tasks and the same seeds, on classes that no training has seen, after as many
inner steps as the training validates with, normalised as in the training; outer rates are compared on validation tasks.

Source: Meta-ticket, sections 5.2 and 7.3.
"""

from collections.abc import Sequence
from pathlib import Path

from carryover.claims.check import Finding
from carryover.claims.metaticket_accuracy import GENERALISATION, NEIGHBOURS, PROTOCOL, SETTINGS
from carryover.claims.metaticket_checks import check
from carryover.claims.metaticket_runs import read_study
from carryover.claims.metaticket_structure import FEATURES, SUBNETWORKS

CLAIMS = (*GENERALISATION, *SUBNETWORKS, *FEATURES, *SETTINGS, *PROTOCOL, *NEIGHBOURS)
"""Everything that is checked, in the order of the board."""


def check_fewshot_claims(manifests: Sequence[Path]) -> list[Finding]:
    """Check every claim on the results of a study, from the manifests of its runs."""
    return check(CLAIMS, read_study(manifests))
