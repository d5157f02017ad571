"""Few-shot learning's part of the workflow: its runs, which of them each needs, and where results lie."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from carryover.core.config import canonical
from carryover.data.episode_settings import EpisodeSettings
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.kinds_flow import KindsFlow
from carryover.metaticket.settings import FewshotTraining
from carryover.study import MetaticketStudy


@dataclass(frozen=True)
class MetaticketFlow(KindsFlow):
    """The runs of a study's `metaticket` section."""

    section: MetaticketStudy

    paper = "metaticket"

    def blocks(self, kind: str, run: str) -> list[str]:
        """List the blocks of seeds of a run, each the work of one process; a test has those of its training."""
        if kind != "trainings":
            return self.blocks("trainings", self._training_of(kind, run))
        own = self.runs[kind][run].beside.get("seeds", self.section.seeds)
        return [f"s{block}" for block in own]

    def training(self, run: str) -> FewshotTraining:
        """Settings of a training."""
        settings = self.runs["trainings"][run].settings
        assert isinstance(settings, FewshotTraining)
        return settings

    def _training_of(self, kind: str, run: str) -> str:
        settings: Any = self.runs[kind][run].settings
        return run if kind == "trainings" else str(settings.training)

    def dataset(self, kind: str, run: str) -> str:
        """Data set whose tasks a run meets."""
        settings: Any = self.runs[kind][run].settings
        return str(settings.dataset or self.training(settings.training).dataset)

    def spec(self, kind: str, run: str) -> str:
        """Canonical settings of a run."""
        return canonical(self.runs[kind][run].settings)

    def episodes(self, kind: str, run: str) -> str:
        """File of the stored tasks that a run is measured on."""
        return self._episode_file(self.dataset(kind, run), self._episodes_of(kind, run))

    def _episodes_of(self, kind: str, run: str) -> EpisodeSettings:
        settings: Any = self.runs[kind][run].settings
        training = self.training(self._training_of(kind, run))
        ways = (None if kind != "tests" else settings.ways) or training.ways
        shots = (None if kind != "tests" else settings.shots) or training.shots
        query = (None if kind != "tests" else settings.query_shots) or training.query_shots or shots
        split, tasks = (
            ("val", training.val_tasks) if kind == "trainings" else (settings.split, settings.tasks)
        )
        return EpisodeSettings(split=split, ways=ways, shots=shots, query_shots=query, tasks=tasks)

    @staticmethod
    def _episode_file(dataset: str, episodes: EpisodeSettings) -> str:
        return f"results/data/episodes/{dataset}/{episodes.name}.safetensors"

    @cached_property
    def stored(self) -> dict[str, str]:
        """Canonical settings of every file of stored tasks, by its path."""
        return {
            self.episodes(kind, run): canonical(self._episodes_of(kind, run))
            for kind, runs in self.runs.items()
            for run in runs
        }

    def needs(self, kind: str, run: str, block: str) -> dict[str, list[str]]:
        """Manifests of other runs that a block reads, by the part that they play."""
        if kind != "trainings":
            return {"training": [self.result("trainings", self._training_of(kind, run), block)]}
        start = self.training(run).start
        return {"start": [] if start is None else [self.result("trainings", start, block)]}

    def figure(self, name: str) -> FewshotFigureSettings:
        """Settings of a figure."""
        return self.section.figures[name]

    def figure_runs(self, name: str) -> dict[str, list[str]]:
        """Names of the runs that a figure shows, by kind, with the trainings that they belong to."""
        figure = self.figure(name)
        shown = {
            kind: list(
                dict.fromkeys(run for each in getattr(figure, kind) for run in self.of_entry(kind, each))
            )
            for kind in ("trainings", "tests", "analyses")
        }
        for kind in ("tests", "analyses"):
            shown["trainings"] += [self._training_of(kind, run) for run in shown[kind]]
        return {kind: list(dict.fromkeys(runs)) for kind, runs in shown.items() if runs}

    def figure_results(self, name: str) -> list[str]:
        """Manifests that a figure is drawn from."""
        return [m for kind, runs in self.figure_runs(name).items() for m in self.results(kind, runs)]

    def figure_spec(self, name: str) -> str:
        """Canonical settings of a figure."""
        return canonical(self.figure(name))

    @property
    def every_result(self) -> list[str]:
        """Manifests of all runs of the study."""
        return [m for kind, runs in self.runs.items() for m in self.results(kind, list(runs))]

    @property
    def has_claims(self) -> bool:
        """Tell whether the study checks claims."""
        return self.section.claims and bool(self.runs["tests"])

    def targets(self) -> list[str]:
        """Everything that `all_figures` makes of few-shot learning."""
        folder = f"results/{self.study}"
        figures = self.section.figures
        targets = [
            f"{folder}/figures/metaticket/{name}.{kind}" for name in figures for kind in ("pdf", "png", "csv")
        ]
        if self.runs["trainings"]:
            targets.append(f"{folder}/metaticket/table.csv")
        if self.has_claims:
            claims = (f"{folder}/figures/metaticket/claims.{kind}" for kind in ("pdf", "png"))
            targets.extend([f"{folder}/metaticket/claims.csv", *claims])
        return targets
