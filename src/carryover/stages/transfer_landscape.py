"""Measure the lines and the planes between each pair's solutions: transferred, trained, and permuted source."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from carryover.core import rng
from carryover.core.block import Tensors
from carryover.core.config import parse
from carryover.io.checkpoint import LazyTensors
from carryover.permute.matching import match
from carryover.permute.pairs import Pairs
from carryover.permute.permutation import identity, permute
from carryover.permute.settings import MatchingSettings
from carryover.permute.spec import Permutation
from carryover.stages._cli import pick_device, run_stage, set_threads, stage_parser
from carryover.stages._transfer import Row, find_nets, read_run, row, save_result, tensors_below
from carryover.stages._transfer_case import Case, open_case
from carryover.transfer.landscape import Measure, Solutions, curves, measure_on
from carryover.transfer.pairs import pairs_of
from carryover.transfer.planes import Survey, survey
from carryover.transfer.settings import LandscapeRun, TransferRun


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__, inputs=["images", "source*", "target*", "transfer*"], outputs=["metrics", "manifest"]
    )
    parser.add_argument(
        "--continuation", type=Path, nargs="+", help="manifests of the training after the transfer"
    )
    args = parser.parse_args(argv)
    run = parse(LandscapeRun, args.spec)
    like = torch.zeros((), device=pick_device(args.device))
    set_threads(args.threads)
    transfer = read_run(args.transfer, TransferRun).model_copy(
        update={"statistics_batches": run.statistics_batches}
    )
    rows: list[Row] = []
    for pair in pairs_of(args.seeds):
        case = open_case(args.images, args.source, args.target, transfer, pair, like)
        nets = find_nets(args.transfer, pair)
        rows += lines(case, run, nets)
        if run.continuation is not None:
            rows += plane(case, run, find_nets(args.continuation or [], pair))
        if run.map:
            rows += loss_map(case, run, nets)
    save_result(args, run.stage, "landscape", rows, {"device": str(like.device)})


def lines(case: Case, run: LandscapeRun, nets: LazyTensors) -> Iterator[Row]:
    """Measure the lines from each method's end point to the permuted source and the trained target."""
    measure = _measure(case)
    end = case.trajectory.point(case.trajectory.num_steps)
    for method in run.methods:
        solutions = Solutions(
            transferred=_last(case, nets, method),
            source=permute(case.setting.spec, _permutation(case, nets, method), end),
            target=case.trained,
        )
        for name, segment in curves(measure, solutions, run.num_points).items():
            yield row(case.pair, method, "none", 0, f"barrier_{name}", segment.barrier)
            for number, (loss, accuracy) in enumerate(zip(segment.losses, segment.accuracies, strict=True)):
                position = round(100 * segment.positions[number])
                yield row(case.pair, method, case.along, position, f"{name}_loss", loss)
                yield row(case.pair, method, case.along, position, f"{name}_accuracy", accuracy)


def plane(case: Case, run: LandscapeRun, continued: LazyTensors) -> Iterator[Row]:
    """Measure the plane of trained target, continued net, and the source permuted onto the target.

    Source: learning transfer, figure 7.
    """
    source = case.trajectory.point(case.trajectory.num_steps)
    nets = (
        case.trained,
        case.setting.placed(_parameters(case, tensors_below(continued, f"{case.pair}/{run.continued}/"))),
        permute(case.setting.spec, _onto(case, source), source),
    )
    found = survey(_measure(case), nets, run.spacing, run.margin)
    yield from _surveyed(case, found, "plane", ("marker-target", "marker-transferred", "marker-source"))


def loss_map(case: Case, run: LandscapeRun, nets: LazyTensors) -> Iterator[Row]:
    """Measure the plane of trained target, oracle and GMT.

    Source: learning transfer, section 3 (E3a, the map of the paper's first version).
    """
    ends = (case.trained, _last(case, nets, "oracle"), _last(case, nets, "gmt"))
    found = survey(_measure(case), ends, run.spacing, run.margin)
    yield from _surveyed(case, found, "map", ("map-target", "map-oracle", "map-gmt"))


def _surveyed(case: Case, found: Survey, method: str, markers: tuple[str, str, str]) -> Iterator[Row]:
    named = [(method, number, cell) for number, cell in enumerate(found.cells)]
    named += [(name, 0, cell) for name, cell in zip(markers, found.markers, strict=True)]
    for name, number, cell in named:
        for metric, value in vars(cell).items():
            yield row(case.pair, name, case.along, number, metric, value)


def _onto(case: Case, source: Tensors) -> Permutation:
    """Match the weights of the trained source to those of the trained target.

    Source: learning transfer, section 1.7 (Source, permuted by Git Re-Basin).
    """
    sizes = case.setting.spec.sizes(source)
    pairs = Pairs(case.setting.spec, sizes, torch.float32)
    pairs.append(case.trained, source)
    draw = rng.generator(case.target.seed, "match weights")
    return match(pairs, identity(sizes), draw, MatchingSettings()).permutation


def _measure(case: Case) -> Measure:
    return measure_on(case.setting.network, case.setting.source.splits[case.along], list(case.statistics(0)))


def _last(case: Case, nets: LazyTensors, method: str) -> Tensors:
    return case.setting.placed(_parameters(case, tensors_below(nets, f"{case.pair}/{method}/last/")))


def _parameters(case: Case, tensors: Tensors) -> Tensors:
    return {name: tensors[name] for name in case.start}


def _permutation(case: Case, nets: LazyTensors, method: str) -> Permutation:
    return tensors_below(nets, f"{case.pair}/{method}/permutation/")


if __name__ == "__main__":
    run_stage(main)
