"""How the methods of few-shot learning look in every figure, and what figures call nets and settings."""

from collections.abc import Iterable, Mapping, Sequence

from carryover.figures.style import Look, series, shades

FEWSHOT: dict[str, Look] = {
    "random": Look("random network", "#737373", "P", ":"),
    "anil": Look("ANIL", "#56B4E9", "s"),
    "mac-anil": Look("MAC (ANIL, widened)", "#56B4E9", "X", "--"),
    "maml": Look("MAML", "#0072B2", "o"),
    "mac-maml": Look("MAC (MAML, widened)", "#0072B2", "*", "--"),
    "boil": Look("BOIL", "#009E73", "D"),
    "meta-lth": Look("Meta-LTH", "#CC79A7", "p"),
    "metaticket": Look("Meta-ticket", "#D55E00", "^"),
    "metaticket-boil": Look("Meta-ticket + BOIL", "#E69F00", "v", "--"),
}
"""The family in its order, in the colours of Okabe and Ito; what is built on a method has its colour."""
ADAPTED = {
    "trained": Look("as trained", "#404040", "o"),
    "body": Look("body alone", "#404040", "^"),
    "head": Look("classifier alone", "#404040", "s"),
}
"""What the inner loop moves."""
NORMS = {"transductive": "transductive", "support": "support statistics", "none": "no batch-norm"}
"""Which statistics batch-norm has on the query: those of all of the query, or those of the support."""
SPLITS = {"train": "training", "val": "validation", "test": "test"}
SETTINGS = {
    "chunk": "tasks in flight",
    "initial_sparsity": "initial sparsity, p",
    "inner_lr": "rate of the inner loop, \N{GREEK SMALL LETTER ALPHA}",
    "inner_steps": "steps of the inner loop, K",
    "masked": "masked weights",
    "meta_batch": "tasks of an outer step, B",
    "order": "order of the derivatives",
    "outer_lr": "rate of the outer loop",
    "outer_steps": "outer steps, T",
    "query_shots": "query examples of a class",
    "randomize_every": r"outer steps between two redraws, $K_\mathrm{per}$",
    "randomize_prob": "chance of a redraw, r",
    "shots": "shots, k",
    "sparsity": "fraction pruned by magnitude",
    "ways": "ways, N",
    "weights": "distribution of masked weights",
    "widen.units": "new units of a layer",
}
"""Settings as the axis of a sweep calls them."""
_SHORT = {
    "initial_sparsity": "p = {}",
    "randomize_prob": "r = {}",
    "order": "{} order",
    "masked": "masks on {}",
    "weights": "{} weights",
    "inner_lr": "\N{GREEK SMALL LETTER ALPHA} = {}",
    "outer_lr": "outer rate {}",
    "inner_steps": "K = {}",
    "widen.units": "{} units",
}
_USUAL = {"masked": "body", "order": "second", "weights": "kn"}
"""Values that are not worth a remark."""


def arm_of(settings: Mapping[str, object]) -> str:
    """Name what a run is of: its method, or MAC on it where the test adds units."""
    method = str(settings["method"])
    return f"mac-{method}" if settings.get("test.widen.units") is not None else method


def in_order(arms: Iterable[str]) -> list[str]:
    """Order arms as the family has them, others behind them by name; each once."""
    known = list(FEWSHOT)
    return sorted(set(arms), key=lambda arm: (known.index(arm) if arm in known else len(known), arm))


def looks_of(arms: Sequence[tuple[str, str]]) -> dict[str, Look]:
    """Give a look to the series of a figure by their labels, from arm and label of each.

    The series that is called as its method has the look of the method; variants are shades of it.
    """
    found: dict[str, Look] = {}
    for arm in in_order(arm for arm, _ in arms):
        look = FEWSHOT.get(arm, series(len(arm) % 6, arm))
        labels = list(dict.fromkeys(label for each, label in arms if each == arm))
        variants = [label for label in labels if label != look.label]
        # of two shades the darker one, where one is wanted beside the look itself
        own = [look, *(shades(look, variants) if len(variants) > 1 else shades(look, ["", *variants])[1:])]
        found |= {each.label: each for each in own if each.label in labels}
    return found


def label_of(arm: str, variant: str = "") -> str:
    """Write the name of a method, and what tells a run of it from others."""
    name = FEWSHOT[arm].label if arm in FEWSHOT else arm
    return f"{name}, {variant}" if variant else name


def in_short(setting: str, value: object) -> str:
    """Write the value of a setting as a remark behind the name of a method; nothing where it is usual or not set."""
    if value is None or _USUAL.get(setting) == value:
        return ""
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return _SHORT.get(setting, f"{setting} {{}}").format(number)


def net_names(settings: Mapping[str, object]) -> tuple[str, str, float]:
    """Name a net, the family it belongs to, and its width, from flattened settings of its training.

    Widths are multipliers, or the channels of Conv4 and ResNet12, or the units of the regressor's hidden layers.
    """
    kind = str(settings["training.net.kind"])
    width = settings.get("training.net.width")
    if kind == "episode-mlp":
        family = f"MLP {settings['training.net.hidden']}"
        return family if width == 1 else f"{family} \N{MULTIPLICATION SIGN}{width}", family, float(str(width))
    if kind == "wrn28":
        return f"WRN28-{width}", "WRN28", float(str(width))
    if kind == "regressor":
        units = str(settings["training.net.hidden"])
        return f"MLP {units}-{units}", "MLP of two layers", float(units)
    family = {"conv4": "Conv4", "resnet12": "ResNet12"}.get(kind, kind)
    channels = str(settings.get("training.net.channels", "nan"))
    usual = channels in ("64", "64-128-256-512")
    return family if usual else f"{family} {channels}", family, float(channels.partition("-")[0])


WIDTHS = {
    "MLP": "width of the net, \N{MULTIPLICATION SIGN}",
    "WRN28": "widening factor, k",
    "MLP of two layers": "units",
}
"""What the width of a family counts; channels where it is not here."""


def width_label(family: str) -> str:
    """Name the axis along which nets of a family get wider."""
    return WIDTHS.get(family) or WIDTHS.get(family.partition(" ")[0]) or "channels (of the first block)"
