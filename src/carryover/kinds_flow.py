"""What the workflows of papers share whose runs come in kinds: results, jobs and their resources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from carryover.entries import Entry
from carryover.study import JobSettings


@dataclass(frozen=True)
class KindsFlow:
    """The runs of one section of a study, by kind and name."""

    study: str
    section: Any
    """The section's model: it has `job` and `figures`."""
    runs: Mapping[str, Mapping[str, Entry]]
    """Runs by kind and name."""
    gpus_allowed: bool

    paper = ""
    """Name of the section and of its folders."""

    def blocks(self, kind: str, run: str) -> list[str]:
        """List the blocks of a run, each the work of one process."""
        raise NotImplementedError

    def result(self, kind: str, run: str, block: str) -> str:
        """Manifest of a block, which is written last."""
        return f"results/{self.study}/{self.paper}/{kind}/{run}/{block}/manifest.json"

    def results(self, kind: str, runs: Sequence[str]) -> list[str]:
        """Manifests of all blocks of some runs."""
        return [self.result(kind, run, block) for run in runs for block in self.blocks(kind, run)]

    def job(self, kind: str, run: str) -> JobSettings:
        """What one job of a run asks of the machine."""
        own = self.runs[kind][run].beside.get("job")
        return self.section.job if own is None else JobSettings.model_validate(own)

    @cached_property
    def retries(self) -> dict[str, int]:
        """How often a job of each kind is started again; Snakemake wants one number for a rule."""
        return {
            kind: max((self.job(kind, run).retries for run in runs), default=0)
            for kind, runs in self.runs.items()
        }

    def gpus(self, kind: str, run: str) -> int:
        """GPUs of one job; none where the config says `device: cpu`."""
        return self.job(kind, run).gpus if self.gpus_allowed else 0

    def of_entry(self, kind: str, name: str) -> list[str]:
        """Name the runs that an entry's name stands for: all of its sweep."""
        return [run for run, entry in self.runs[kind].items() if name in (run, entry.where[-1])]
