"""From results to the tables that IteRand's figures are drawn from: mean and standard deviation over seeds."""

from collections.abc import Mapping, Sequence

from pandas import DataFrame, Series

from carryover.figures.style import in_order
from carryover.io.results import per_seed

POINT = ["dataset", "family", "net", "size", "arm", "weights"]
"""What every point of a figure is, whatever else tells it from others."""
FAMILIES = {"conv": "Conv", "resnet": "ResNet"}


def described(results: DataFrame) -> DataFrame:
    """Add how figures call the net, and r of edge-popup, which is IteRand with r = 0.

    `net` is its name, `family` what it shares with wider ones, `size` its width: units of a hidden layer, or the
    multiplier of all channel counts; missing for hidden layers of several sizes.
    """
    runs = results.drop_duplicates("run").set_index("run")
    nets = {run: net_names(settings) for run, settings in runs.to_dict("index").items()}
    rate = results.get("randomize_prob", Series(float("nan"), index=results.index))
    return results.assign(
        net=results["run"].map(lambda run: nets[run][0]),
        family=results["run"].map(lambda run: nets[run][1]),
        size=results["run"].map(lambda run: nets[run][2]),
        randomize_prob=rate.where(results["method"] != "popup", 0.0),
    )


def net_names(settings: Mapping[object, object]) -> tuple[str, str, float]:
    """Name a net, the family it belongs to, and its width, from its flattened settings."""
    kind = str(settings["net.kind"])
    if kind == "mlp":
        hidden = str(settings["net.hidden"]).split("-")
        size = float(hidden[0]) if len(set(hidden)) == 1 else float("nan")
        return f"MLP {'-'.join(hidden)}", "MLP " + "-".join("h" * len(hidden)), size
    family = f"{FAMILIES.get(kind, f'{kind} ')}{settings['net.depth']}"
    width = float(str(settings["net.width"]))
    return family if width == 1 else f"{family}, width {width:g}", family, width


def final_accuracy(results: DataFrame, split: str, keys: Sequence[str] = ()) -> DataFrame:
    """Average the accuracy after the last step over seeds, for each point.

    One row per point: POINT and `keys`, `run`, `split`, `mean`, `sd` (missing for one seed), `n`, `diverged`,
    `per_seed`. Seeds that diverged count in `diverged` only. Rows are in the order of the study's nets, METHODS,
    and `keys`. Raises ValueError when the split was not evaluated, or two runs fall on one point.
    """
    seeds = per_seed(described(results))
    value = seeds[f"{split}_accuracy"]
    if value[~seeds["diverged"]].isna().any():
        run = seeds["run"][value.isna() & ~seeds["diverged"]].iloc[0]
        raise ValueError(
            f"{run} has no {split} accuracy: its data set has no such split; set `split` of the figure"
        )
    text = seeds["seed"].astype(str) + ":" + value.map(str).where(~seeds["diverged"], "diverged")
    rows = seeds.assign(split=split, value=value, text=text)
    groups = rows.groupby([*_point(keys), "run", "split"], sort=False, dropna=False)
    table = groups["value"].agg(mean="mean", sd="std", n="count").reset_index()
    table["diverged"] = groups["diverged"].sum().to_numpy(int)
    table["per_seed"] = groups["text"].agg(" ".join).to_numpy()
    return _ordered(table, keys)


def with_counts(table: DataFrame, results: DataFrame) -> DataFrame:
    """Add `num_weights`, all that can be pruned, and `num_left`: kept ones, or all that weight training trains."""
    counts = per_seed(results).groupby("run")[["num_weights", "num_kept", "num_trained"]].first()
    found = counts.loc[table["run"]].reset_index(drop=True)
    left = found["num_kept"].where(table["arm"] != "dense", found["num_trained"])
    return table.assign(num_weights=found["num_weights"], num_left=left)


def along(results: DataFrame, metric: str, split: str, keys: Sequence[str] = ()) -> DataFrame:
    """Average a metric over the seeds that are alive, for each point and each step at which it was recorded.

    Columns are those of `final_accuracy`, less `per_seed`, with `step` and `epoch`.
    """
    shown = described(results)
    rows = shown[(shown["metric"] == metric) & (shown["split"] == split)]
    # a training records its loss, or that it diverged, at the end of each epoch
    epoch_steps = shown[shown["split"] == "train"].groupby("run")["step"].min()
    diverged = shown[shown["metric"] == "diverged"].groupby("run")["seed"].nunique()
    groups = rows.groupby([*_point(keys), "run", "split", "step"], sort=False, dropna=False)
    table = groups["value"].agg(mean="mean", sd="std", n="count").reset_index()
    table["epoch"] = table["step"] / table["run"].map(epoch_steps)
    table["diverged"] = table["run"].map(diverged).fillna(0).astype(int)
    return _ordered(table, [*keys, "step"])


def _ordered(table: DataFrame, keys: Sequence[str]) -> DataFrame:
    _check_points(table, keys)
    net = table.groupby(["dataset", "net"], sort=False).ngroup()
    arm = table["arm"].map(in_order(table["arm"]).index)
    ordered = table.assign(_net=net, _arm=arm).sort_values(["_net", "_arm", *keys], kind="stable")
    return ordered.drop(columns=["_net", "_arm"]).reset_index(drop=True)


def _point(keys: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*POINT, *keys]))


def _check_points(table: DataFrame, keys: Sequence[str]) -> None:
    point = table[_point(keys)].astype(object).fillna("")
    twice = point.duplicated(keep=False)
    if twice.any():
        runs = table.loc[(point == point[twice].iloc[0]).all(axis=1), "run"].unique()
        raise ValueError(
            f"{runs[0]} and {runs[1]} fall on one point of the figure: name grids whose runs differ in what the "
            f"figure shows ({', '.join(dict.fromkeys(['dataset', 'net', 'arm', *keys]))})"
        )
