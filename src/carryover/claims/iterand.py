"""What is claimed of IteRand, each claim with the comparison that tests it and its margin.

The text of the paper's results was not available when this was written. Its abstract states that IteRand needs fewer
parameters than edge-popup; everything else here is an ordering of small-scale replicas of its experiments.

Margins are differences of accuracy: "better" means above 0, "at least" allows one point (0.01) to the other side,
"about equal" and "close to none" two points (0.02) to both sides. They were fixed before the results they judge.
Source: IteRand, abstract, and section 7.1 for the orderings.
"""

from carryover.claims.claim import Check, Claim, Term, gain, minus
from carryover.claims.statistics import Region

BETTER = Region(low=0.0)
AT_LEAST = Region(low=-0.01)
ABOUT_EQUAL = Region(low=-0.02, high=0.02)

ARMS = ("dense", "popup-ku", "popup-sc", "iterand-ku", "iterand-sc")
BOTH = ("ku", "sc")
PARTIAL, SMALL, NAIVE = 0.1, 0.01, 1.0
"""Values of r that the claims are about: the paper's own choice, a tenth of it, and everything."""

_POPUP, _ITERAND = "popup-ku", "iterand-ku"

WIDTH = (
    Claim(
        "beats-edge-popup",
        "IteRand beats edge-popup at equal parameter count, on average over the widths.",
        "abstract; figure 2",
        "abstract",
        tuple(Check(gain(w), "width", BETTER, over="mean") for w in BOTH),
    ),
    Claim(
        "dense-first",
        "Weight training beats IteRand at every width.",
        "figure 2",
        "replica",
        tuple(Check((Term(1, "dense"), Term(-1, f"iterand-{w}")), "width", BETTER) for w in BOTH),
    ),
    Claim(
        "half-the-width",
        "IteRand needs half the width: it is about as good as edge-popup at twice its width.",
        "figure 2; the abstract's parameter efficiency",
        "replica",
        (Check((Term(1, _ITERAND), Term(-1, _POPUP, "twice")), "width", ABOUT_EQUAL),),
    ),
    Claim(
        "never-below",
        "IteRand is at least as good as edge-popup at every width.",
        "figure 2",
        "replica",
        tuple(Check(gain(w), "width", AT_LEAST) for w in BOTH),
    ),
    Claim(
        "rises-with-width",
        "Every method is better in the widest net than in the narrowest.",
        "figure 2",
        "replica",
        tuple(Check((Term(1, arm, "highest"), Term(-1, arm, "lowest")), "width", BETTER) for arm in ARMS),
    ),
    Claim(
        "gain-shrinks",
        "The gain of IteRand over edge-popup is larger in the narrowest net than in the widest.",
        "figure 2",
        "replica",
        tuple(Check(gain(w, "lowest") + minus(gain(w, "highest")), "width", BETTER) for w in BOTH),
    ),
    Claim(
        "constant-helps",
        "For edge-popup, signed constant weights are at least as good as uniform ones at every width.",
        "figure 2",
        "replica",
        (Check((Term(1, "popup-sc"), Term(-1, _POPUP)), "width", AT_LEAST),),
    ),
    Claim(
        "gap-narrows",
        "IteRand narrows or reverses that lead of constant weights, on average over the widths.",
        "figure 2",
        "replica",
        (Check(gain("ku") + minus(gain("sc")), "width", BETTER, over="mean"),),
    ),
)
"""Claims about nets of several widths."""

SWEEPS = (
    Claim(
        "rate-best",
        "Redrawing a tenth of the pruned weights (r = 0.1) beats r = 0, 0.01 and 1.",
        "figure 1",
        "replica",
        tuple(
            Check((Term(1, _ITERAND, PARTIAL), Term(-1, arm, rate)), "randomize_prob", BETTER)
            for arm, rate in ((_POPUP, PARTIAL), (_ITERAND, SMALL), (_ITERAND, NAIVE))
        ),
    ),
    Claim(
        "rate-small",
        "Redrawing one in a hundred (r = 0.01) is close to no redraws.",
        "figure 1",
        "replica",
        (Check(gain("ku", SMALL), "randomize_prob", ABOUT_EQUAL),),
    ),
    Claim(
        "rate-naive",
        "Redrawing all pruned weights (r = 1) is at or below edge-popup.",
        "figure 1",
        "replica",
        (Check(minus(gain("ku", NAIVE)), "randomize_prob", AT_LEAST),),
    ),
    Claim(
        "period-middle",
        "The usual period K beats the longest: redraws can be too rare.",
        "not a figure of the paper",
        "replica",
        (Check((Term(1, _ITERAND, "usual"), Term(-1, _ITERAND, "highest")), "randomize_every", BETTER),),
    ),
    Claim(
        "every-step",
        "Redrawing at every step is worse than at the usual period K.",
        "not a figure of the paper",
        "replica",
        (Check((Term(1, _ITERAND, "usual"), Term(-1, _ITERAND, 1.0)), "randomize_every", BETTER),),
    ),
    Claim(
        "slow-scores",
        "At a thirtieth of the usual score learning rate or less, IteRand is worse than edge-popup.",
        "not a figure of the paper",
        "replica",
        (Check(minus(gain("ku", "lowest")), "score_lr", BETTER, low_means=1 / 30, split="val"),),
    ),
    Claim(
        "low-sparsity",
        "The gain is larger at sparsity 0.1 than at any other below 0.9.",
        "not a figure of the paper",
        "replica",
        (Check(gain("ku", 0.1) + minus(gain("ku")), "sparsity", BETTER, below=0.9),),
    ),
    Claim(
        "longer-training",
        "Longer training with as many redraws widens the gain.",
        "not a figure of the paper",
        "replica",
        (Check(gain("ku", "highest") + minus(gain("ku", "lowest")), "epochs", BETTER),),
    ),
)
"""Claims about sweeps over one setting."""

CLAIMS = (*WIDTH, *SWEEPS)
"""Everything that is checked, in the order of the board."""
