"""Learning transfer's part of the workflow: its runs, which of them each needs, and where results lie."""

from dataclasses import dataclass
from typing import Any

from carryover.core.config import canonical
from carryover.figures.transfer_settings import TransferFigureSettings
from carryover.kinds_flow import KindsFlow
from carryover.study import TransferStudy
from carryover.transfer.pairs import ROLES, pairs_of
from carryover.transfer.settings import KINDS, ContinuationRun, NetTraining

PAIRED = "pairs"
EVERY = "all"
"""Block of a run that takes all pairs together."""


@dataclass(frozen=True)
class TransferFlow(KindsFlow):
    """The runs of a study's `transfer` section."""

    section: TransferStudy

    paper = "transfer"

    def pairs(self, kind: str, run: str) -> list[str]:
        """List the blocks of pairs of a run, as a person wrote them."""
        own = self.runs[kind][run].beside.get("pairs", self.section.pairs)
        return [str(block) for block in own]

    def blocks(self, kind: str, run: str) -> list[str]:
        """List the blocks of a run, each the work of one process."""
        if kind == "ensembles":
            return [EVERY]
        roles = ROLES if kind == "trainings" else (PAIRED,)
        return [f"{role}{block}" for role in roles for block in self.pairs(kind, run)]

    def spec(self, kind: str, run: str) -> str:
        """Canonical settings of a run, with those of the training whose recipe it follows."""
        settings = self.runs[kind][run].settings
        plain = settings.model_dump(mode="json")
        if kind in ("cosines", "synced"):
            plain["recipe"] = self.training(settings.training).model_dump(mode="json")  # type: ignore[attr-defined]
        return canonical(plain)

    def training(self, run: str) -> NetTraining:
        """Settings of a training."""
        settings = self.runs["trainings"][run].settings
        assert isinstance(settings, NetTraining)
        return settings

    def dataset(self, kind: str, run: str) -> str:
        """Data set that a run reads."""
        settings = self.runs[kind][run].settings
        if isinstance(settings, NetTraining | ContinuationRun):
            return settings.dataset
        if kind == "ensembles":
            return self.dataset("continuations", settings.continuation)  # type: ignore[attr-defined]
        if kind == "landscapes":
            return self.dataset("transfers", settings.transfer)  # type: ignore[attr-defined]
        return self.training(settings.training).dataset  # type: ignore[attr-defined]

    def needs(self, kind: str, run: str, block: str) -> dict[str, list[str]]:
        """Manifests of other runs that a block reads, by the part that they play."""
        settings: Any = self.runs[kind][run].settings
        match kind:
            case "trainings":
                return {"start": self._trained(settings.start, _role(block), block)}
            case "transfers":
                return self._ends(settings, block)
            case "continuations":
                return {"transfer": self._covering("transfers", settings.transfer, block)}
            case "cosines" | "synced":
                start = self.training(settings.training).start
                return {
                    "source": self._trained(start, "source", block),
                    "target": self._trained(start, "target", block),
                }
            case "landscapes":
                transfer = self.runs["transfers"][settings.transfer].settings
                after = settings.continuation
                return {
                    **self._ends(transfer, block),
                    "transfer": self._covering("transfers", settings.transfer, block),
                    "continuation": [] if after is None else self._covering("continuations", after, block),
                }
        continuation: Any = self.runs["continuations"][settings.continuation].settings
        target = self._target(self.runs["transfers"][continuation.transfer].settings)
        return {
            "continuation": self.results("continuations", [settings.continuation]),
            "target": [m for m in self.results("trainings", [target]) if "/target" in m],
        }

    def _ends(self, transfer: Any, block: str) -> dict[str, list[str]]:
        return {
            "source": self._trained(transfer.training, "source", block),
            "target": self._trained(self._target(transfer), "target", block),
        }

    @staticmethod
    def _target(transfer: Any) -> str:
        return str(transfer.target_training or transfer.training)

    def _trained(self, run: str | None, role: str, block: str) -> list[str]:
        return [] if run is None else self._covering("trainings", run, block, role)

    def _covering(self, kind: str, run: str, block: str, role: str = PAIRED) -> list[str]:
        """Name the blocks of a run that hold the pairs of `block`."""
        wanted = set(pairs_of(block))
        return [
            self.result(kind, run, f"{role}{own}")
            for own in self.pairs(kind, run)
            if wanted & set(pairs_of(f"pairs{own}"))
        ]

    def figure(self, name: str) -> TransferFigureSettings:
        """Settings of a figure."""
        return self.section.figures[name]

    def figure_runs(self, name: str) -> dict[str, list[str]]:
        """Names of the runs that a figure shows, by kind; with those trainings that they start from or end at."""
        figure = self.figure(name)
        shown = {
            kind: [run for name in getattr(figure, kind) for run in self.of_entry(kind, name)]
            for kind in KINDS
        }
        for run in shown["continuations"]:
            self._add(shown["transfers"], self._setting("continuations", run, "transfer"))
        for run in shown["landscapes"]:
            self._add(shown["transfers"], self._setting("landscapes", run, "transfer"))
        for run in shown["ensembles"]:
            self._add(shown["continuations"], self._setting("ensembles", run, "continuation"))
        for run in shown["transfers"]:
            transfer = self.runs["transfers"][run].settings
            self._add(shown["trainings"], self._setting("transfers", run, "training"))
            self._add(shown["trainings"], self._target(transfer))
        return {kind: runs for kind, runs in shown.items() if runs}

    def _setting(self, kind: str, run: str, key: str) -> str:
        return str(getattr(self.runs[kind][run].settings, key))

    @staticmethod
    def _add(runs: list[str], run: str) -> None:
        if run not in runs:
            runs.append(run)

    def figure_results(self, name: str) -> list[str]:
        """Manifests that a figure is drawn from."""
        return [m for kind, runs in self.figure_runs(name).items() for m in self.results(kind, runs)]

    def figure_spec(self, name: str) -> str:
        """Canonical settings of a figure."""
        return canonical(self.figure(name))

    @property
    def every_result(self) -> list[str]:
        """Manifests of all runs of the study, and of those trainings alone that one of them starts from."""
        found: dict[str, None] = {}
        for kind, runs in self.runs.items():
            for run in runs if kind != "trainings" else ():
                for block in self.blocks(kind, run):
                    found[self.result(kind, run, block)] = None
                    found |= {m: None for part in self.needs(kind, run, block).values() for m in part}
        return list(found)

    @property
    def has_claims(self) -> bool:
        """Tell whether the study checks claims."""
        return self.section.claims and bool(self.runs["transfers"])

    def targets(self) -> list[str]:
        """Everything that `all_figures` makes of learning transfer."""
        folder = f"results/{self.study}"
        drawn = [*self.section.figures, *(["theory"] if self.section.theory else [])]
        targets = [
            f"{folder}/figures/transfer/{name}.{kind}" for name in drawn for kind in ("pdf", "png", "csv")
        ]
        if self.runs["transfers"]:
            targets.append(f"{folder}/transfer/table.csv")
        if self.has_claims:
            claims = (f"{folder}/figures/transfer/claims.{kind}" for kind in ("pdf", "png"))
            targets.extend([f"{folder}/transfer/claims.csv", *claims])
        return targets


def _role(block: str) -> str:
    return block.rstrip("-0123456789")
