"""Margins of the claims about Meta-ticket, fixed before the results that they judge."""

from carryover.claims.statistics import Region

BETTER = Region(low=0.0)
AT_LEAST = Region(low=-0.01)
"""One point may be lost."""
ALIKE = Region(low=-0.02, high=0.02)
"""Two points to both sides."""
FIVE_POINTS = Region(low=0.05)
TEN_POINTS = Region(low=0.10)
CHANCE = Region(low=-0.05, high=0.05)
"""Five points around the chance level."""
TENTH = Region(low=0.1)
"""A tenth of the weights at least."""
NOT_ALL = Region(high=0.9)
"""Less than nine tenths of the weights."""
NOTHING = Region(low=-1e-4, high=1e-4)
"""A difference of rounding."""
