"""What the Snakefile asks: targets, inputs, params and resources, all of them looked up in dictionaries.

Nothing heavy is imported here, since every job of a cluster parses the Snakefile twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, get_args

from carryover.codehash import code_digest
from carryover.core.config import canonical
from carryover.data.base_settings import Dataset
from carryover.data.class_split_settings import class_split_digest
from carryover.data.settings import Folder, Imagenet
from carryover.figures.settings import FigureSettings
from carryover.grid import Run, expand
from carryover.iterand.settings import METHODS
from carryover.metaticket.settings import MethodName
from carryover.metaticket_entries import read_metaticket
from carryover.metaticket_flow import MetaticketFlow
from carryover.problems import Problems, raise_problems
from carryover.study import Config, JobSettings, Study, check_names, read_study
from carryover.transfer.settings import EVERY_METHOD
from carryover.transfer_entries import read_transfer
from carryover.transfer_flow import TransferFlow


@dataclass(frozen=True)
class Workflow:
    """A checked config with the runs it stands for."""

    config: Config
    study: Study
    runs: Mapping[str, Run]
    grids: Mapping[str, list[str]]
    transfer: TransferFlow | None = None
    metaticket: MetaticketFlow | None = None

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.config.study

    @cached_property
    def blocks(self) -> dict[str, list[str]]:
        """Seeds of each run, in the blocks that one process trains: `s0-4`, `s5`."""
        found: dict[str, list[str]] = {}
        for name, runs in self.grids.items():
            for run in runs:
                own = found.setdefault(run, [])
                own.extend(b for b in self._blocks_of_grid(name) if b not in own)
        return found

    def _blocks_of_grid(self, name: str) -> list[str]:
        assert self.study.iterand is not None
        seeds = self.study.iterand.grids[name].seeds or self.study.iterand.seeds
        return [f"s{block}" for block in seeds]

    @cached_property
    def jobs(self) -> dict[str, JobSettings]:
        """What the training jobs of each run ask of the machine; the first grid that has the run decides."""
        section = self.study.iterand
        if section is None:
            return {}
        return {
            run: section.grids[name].job or section.job
            for name in reversed(list(self.grids))
            for run in self.grids[name]
        }

    @property
    def retries(self) -> int:
        """How often a training job is started again; Snakemake wants one number for a rule."""
        return max((job.retries for job in self.jobs.values()), default=0)

    def gpus(self, run: str) -> int:
        """GPUs of one training job; none where the config says `device: cpu`."""
        return 0 if self.config.device == "cpu" else self.jobs[run].gpus

    def code(self, stage: str) -> str:
        """Digest of all code that a stage can reach."""
        return code_digest(f"carryover.stages.{stage}")

    def images(self, dataset: str) -> str:
        """File that training on a data set reads: images, the index of a streamed folder, or ranges of sinusoids."""
        light = self.study.datasets[dataset].source in ("imagenet", "sinusoid")
        suffix = "json" if light else "safetensors"
        return f"results/data/{dataset}.{suffix}"

    def dataset_spec(self, dataset: str) -> str:
        """Canonical settings of a data set."""
        return canonical(self.study.datasets[dataset])

    def class_list(self, dataset: str) -> str:
        """Digest of the list that divides the classes of a data set: its settings have only the name of the list."""
        settings = self.study.datasets[dataset]
        assert isinstance(settings, Dataset), "images in memory; others have no list"
        return class_split_digest(settings.class_split)

    def datasets_from(self, *sources: str) -> list[str]:
        """Name the data sets of the study with one of these sources."""
        return [name for name, settings in self.study.datasets.items() if settings.source in sources]

    def listing(self, dataset: str) -> str:
        """List of the downloaded files of a data set's source, which its other data sets share."""
        return f"results/data/raw/{self.study.datasets[dataset].source}.json"

    def folder(self, dataset: str) -> str:
        """Place of a data set of one's own: below `data.root`, or `data.mirror` when it is only there."""
        settings, data = self.study.datasets[dataset], self.config.data
        assert isinstance(settings, Folder | Imagenet)
        places = [
            Path(data.root) / settings.path,
            *([Path(data.mirror) / settings.path] if data.mirror else []),
        ]
        return str(next((place for place in places if place.exists()), places[0]))

    @property
    def reach(self) -> str:
        """Arguments that say where downloads may come from."""
        data = self.config.data
        return (f"--mirror {quote(data.mirror)} " if data.mirror else "") + (
            "--offline" if data.offline else ""
        )

    def result(self, run: str, block: str) -> str:
        """Manifest of a training block, which is written last."""
        return f"results/{self.name}/iterand/{run}/{block}/manifest.json"

    def results(self, runs: list[str]) -> list[str]:
        """Manifests of all blocks of some runs."""
        return [self.result(run, block) for run in runs for block in self.blocks[run]]

    @property
    def figures(self) -> list[str]:
        """Names of the figures that are drawn from runs."""
        return list(self.study.iterand.figures) if self.study.iterand else []

    def figure(self, name: str) -> FigureSettings:
        """Settings of one of IteRand's figures."""
        assert self.study.iterand is not None
        return self.study.iterand.figures[name]

    def figure_results(self, name: str) -> list[str]:
        """Manifests that a figure is drawn from."""
        return self.results(
            list(dict.fromkeys(run for grid in self.figure(name).grids for run in self.grids[grid]))
        )

    def figure_spec(self, name: str) -> str:
        """Canonical settings of a figure, with the runs of each of its grids."""
        settings = self.figure(name)
        return canonical(
            {**settings.model_dump(), "runs": {grid: self.grids[grid] for grid in settings.grids}}
        )

    def targets(self) -> list[str]:
        """Everything that `all_figures` makes."""
        flows = [flow for flow in (self.transfer, self.metaticket) if flow]
        return [*self._iterand_targets(), *(target for flow in flows for target in flow.targets())]

    def _iterand_targets(self) -> list[str]:
        section = self.study.iterand
        if section is None:
            return []
        folder = f"results/{self.name}"
        drawn = [*section.figures, *(["theory"] if section.theory else [])]
        targets = [
            f"{folder}/figures/iterand/{name}.{kind}" for name in drawn for kind in ("pdf", "png", "csv")
        ]
        if self.runs:
            targets.append(f"{folder}/iterand/table.csv")
        if self.has_claims:
            claims = (f"{folder}/figures/iterand/claims.{kind}" for kind in ("pdf", "png"))
            targets.extend([f"{folder}/iterand/claims.csv", *claims])
        return targets

    @property
    def has_claims(self) -> bool:
        """Tell whether the study checks claims."""
        return self.study.iterand is not None and self.study.iterand.claims and bool(self.runs)


def load_workflow(raw: Mapping[str, Any], root: Path) -> Workflow:
    """Check config.yaml's content and the study it names; raise ConfigError with everything that is wrong."""
    in_config = Problems("config.yaml")
    config = in_config.check((), Config, dict(raw))
    study_name = str(raw.get("study", "demo"))
    raw_study = read_study(root / "studies", study_name)
    problems = Problems(f"studies/{study_name}.yaml")
    study = problems.check((), Study, raw_study)
    check_names(raw_study, (*METHODS, *EVERY_METHOD, *get_args(MethodName)), problems)
    precision = str(raw.get("precision", "fp32"))
    runs, grids = expand(raw_study, precision, problems)
    _check_figures(raw_study, grids, problems)
    carried = read_transfer(raw_study, precision, problems)
    fewshot = read_metaticket(raw_study, problems)
    raise_problems(in_config, problems)
    gpus = config.device != "cpu"
    transfer = study.transfer and TransferFlow(study_name, study.transfer, carried, gpus)
    metaticket = study.metaticket and MetaticketFlow(study_name, study.metaticket, fewshot, gpus)
    return Workflow(config, study, runs, grids, transfer, metaticket)


def _check_figures(raw_study: Mapping[str, Any], grids: Mapping[str, Any], problems: Problems) -> None:
    """Note figures of grids that do not exist, and names that the workflow itself uses."""
    section = raw_study.get("iterand")
    figures = section.get("figures") if isinstance(section, dict) else None
    for name, figure in figures.items() if isinstance(figures, dict) else ():
        if name in ("theory", "claims"):
            problems.add(
                ("iterand", "figures", name), "this name belongs to a figure that the workflow adds itself"
            )
        wanted = figure.get("grids") if isinstance(figure, dict) else None
        for index, grid in enumerate(wanted if isinstance(wanted, list) else ()):
            problems.reference(("iterand", "figures", name, "grids", index), grid, "grid", grids)
