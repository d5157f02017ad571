"""What adaptation changes in a net: its features layer by layer, and gradients and weights tensor by tensor."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from carryover.figures import style
from carryover.figures.metaticket_looks import SPLITS
from carryover.figures.metaticket_panels import draw_course, grid_of, legend, looks_in, seeds_of, spread
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.metaticket_tables import cells_of, ordered, over_seeds, table_of
from carryover.figures.style import Look
from carryover.figures.transfer_panels import remarks
from carryover.io.fewshot import Results

_FEATURES = {
    "cka": "linear CKA, before against after",
    "within": "cosine within a class",
    "between": "cosine between classes",
}
_TENSORS = {"gradient": "mean |inner gradient|", "change": "relative change of weights"}
_COSINES = [f"{kind}_{when}" for kind in ("within", "between") for when in ("before", "after")]


def tabulate_features(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate similarities of the query's activations by hidden layer (x, the first is 1) and method.

    `quantity` is `cka` (activations before adaptation against those after), or the mean cosine `within_before`,
    `within_after`, `between_before`, `between_after` of images of one class and of two.
    """
    return _tabulated(results, ["cka", *_COSINES], "hidden layer")


def tabulate_magnitudes(results: Results, spec: FewshotFigureSettings) -> DataFrame:
    """Tabulate inner gradient and relative change of every tensor (`place`) of every method.

    `quantity` is `gradient` (mean absolute value divided by the kept fraction), `change` or `sparsity`; `adapted` is
    the role of the tensor, x its number among the weights (body and head), empty for all others, which are not drawn.
    """
    return _tabulated(results, [*_TENSORS, "sparsity"], "weights of layer")


def _tabulated(results: Results, metrics: Sequence[str], axis: str) -> DataFrame:
    rows = results.rows[(results.rows["kind"] == "analysis") & results.rows["metric"].isin(list(metrics))]
    if rows.empty:
        raise ValueError(f"no analysis of this figure has {metrics[0]}: name others in `analyses`")
    rows = rows.assign(
        split=rows["analysis.split"], tasks=rows["analysis.tasks"], steps=rows["analysis.steps"]
    )
    found = over_seeds(rows, ["run", "split", "tasks", "steps", "layer", "role", "metric"])
    table = found.merge(cells_of(rows), on="run").rename(
        columns={"layer": "place", "role": "adapted", "metric": "quantity"}
    )
    table["x"] = _depth(table) if "change" in metrics else table["place"].astype(float)
    return ordered(table_of(table.assign(part="result", axis=axis)))


def _depth(table: DataFrame) -> list[int | None]:
    """Number the weights of every run from the first layer to the classifier."""
    own = table[table["adapted"].isin(["body", "head"]) & ~table["place"].astype(str).str.endswith("bias")]
    names = {run: list(dict.fromkeys(rows["place"])) for run, rows in own.groupby("run", sort=False)}
    depths = {(run, layer): number for run, layers in names.items() for number, layer in enumerate(layers, 1)}
    return [depths.get((run, layer)) for run, layer in zip(table["run"], table["place"], strict=True)]


@style.house_style()
def draw_features(table: DataFrame) -> Figure:
    """Draw similarities of features against depth, a row for each panel: CKA, cosines within and between classes.

    Source: Meta-ticket, section 5.3 (feature change).
    """
    looks = looks_in(table)
    kinds = [kind for kind in _FEATURES if table["quantity"].str.startswith(kind).any()]
    text = remarks(
        _steps(table),
        "CKA 1: adaptation leaves the features as they are.",
        "Cosines: dotted before adaptation, solid after." if len(kinds) > 1 else "",
        spread(table, "band"),
    )
    figure, grid = grid_of(table, 2.2, text, len(kinds))
    for axes, rows in grid:
        for axis, kind in zip(axes, kinds, strict=True):
            for label, look in looks.items():
                own = rows[(rows["label"] == label) & rows["quantity"].str.startswith(kind)]
                for quantity, course in own.groupby("quantity", sort=False):
                    before = str(quantity).endswith("before")
                    shown = Look(
                        look.label, look.color, "" if before else look.marker, ":" if before else "-"
                    )
                    draw_course(axis, course, shown, seeds_of(table))
            axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axis.set_xlabel("hidden layer")
            axis.set_ylabel(_FEATURES[kind])
        if len(axes) > 2:
            _level(axes[1:])
    legend(figure, looks.values(), 4)
    return figure


@style.house_style()
def draw_magnitudes(table: DataFrame) -> Figure:
    """Draw inner gradient and relative change of the weights of every layer, a row for each panel.

    Source: Meta-ticket, sections 5.1 (D2) and 5.3 (adaptation magnitude).
    """
    looks = looks_in(table)
    text = remarks(
        _steps(table),
        "Gradients: mean absolute value over a tensor's weights and tasks, divided by the fraction that is kept. "
        "Change: norm of the difference over the norm before, of effective weights. The last place is the "
        "classifier. What is 0 has no point on the logarithmic axis. Biases and norms are in the table beside this "
        "figure.",
        spread(table, "band"),
    )
    drawn = table[table["x"].notna()]
    figure, grid = grid_of(drawn, 2.3, text, len(_TENSORS))
    for axes, rows in grid:
        for axis, (quantity, words) in zip(axes, _TENSORS.items(), strict=True):
            _tensors(axis, rows[rows["quantity"] == quantity], looks, seeds_of(table))
            axis.set_ylabel(words)
        axes[0].set_yscale("log", nonpositive="mask")
    legend(figure, looks.values(), 4)
    return figure


def _tensors(axis: Axes, rows: DataFrame, looks: Mapping[str, Look], most: int) -> None:
    for label, look in looks.items():
        draw_course(axis, rows[rows["label"] == label], look, most)
    last = int(rows["x"].max())
    shown = range(1, last) if last <= 8 else range(1, last, max(1, last // 6))
    axis.set_xticks([*shown, last], [*map(str, shown), "head"])
    axis.set_xlabel(str(rows["axis"].iloc[0]))


def _level(axes: Sequence[Axes]) -> None:
    low, high = min(axis.get_ylim()[0] for axis in axes), max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)


def _steps(table: DataFrame) -> str:
    splits = " and ".join(SPLITS[str(split)] for split in table["split"].unique())
    steps = " or ".join(str(int(step)) for step in table["steps"].unique())
    return f"Query of {splits} tasks, before and after {steps} inner step{'s' * (steps != '1')}."
