"""What a person writes: config.yaml and studies/*.yaml, as typed models and with their references checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from carryover.core.config import Settings
from carryover.data.names import check_name
from carryover.data.settings import DatasetSettings
from carryover.figures.metaticket_settings import FewshotFigureSettings
from carryover.figures.settings import FigureSettings
from carryover.figures.transfer_settings import TransferFigureSettings
from carryover.iterand.theory_settings import TheorySettings
from carryover.nets.episode_settings import EpisodeNetSettings
from carryover.nets.settings import NetSettings
from carryover.problems import ConfigError, Problems
from carryover.transfer.theory_settings import TransferTheorySettings

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)*$", max_length=40)]
"""Lower-case letters, digits and dots, in parts joined by single hyphens."""
Block = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^\d+(-\d+)?$")]

AnyNetSettings = Annotated[NetSettings | EpisodeNetSettings, Field(discriminator="kind")]
"""Any net of any paper."""
PairBlock = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[1-9]\d*(-\d+)?$")]


class DataConfig(Settings):
    """Where images come from."""

    root: str = "data"
    """Folder for downloaded files."""
    mirror: str | None = None
    """Local folder that is tried before the network."""
    offline: bool = False
    """Never use the network: a file that is in neither `root` nor `mirror` is an error."""


class Config(Settings):
    """config.yaml: what most people edit."""

    study: Name = "demo"
    """Name of a file in studies/, without `.yaml`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA where the job finds it. Changing it re-runs nothing."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of every run that does not set its own. Changing it re-runs the trainings."""
    data: DataConfig = DataConfig()
    """Where images come from."""


class JobSettings(Settings):
    """What one training job asks of the machine; changing it re-runs nothing."""

    cpus: Annotated[int, Field(ge=1)] = 1
    """CPU threads."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """GPUs, 0 or 1; none are asked for with `device: cpu`."""
    mem_mb: Annotated[int, Field(ge=100)] = 2000
    """Memory in MB; half as much again at each retry."""
    minutes: Annotated[int, Field(ge=1)] = 60
    """Walltime. A job saves before it ends, stops, and the retry goes on."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a job that failed or ran out of time is started again."""


class Grid(Settings):
    """Runs as combinations of settings: the product of axes, times settings that move together, less and more."""

    seeds: list[Block] | None = None
    """Blocks of seeds of these runs, if they are not the study's."""
    job: JobSettings | None = None
    """What a training job of these runs asks of the machine, if it is not the study's."""
    recipe: Name | None = None
    """Recipe that every run starts from (or an axis of that name)."""
    product: dict[str, list[Any]] = {}
    """Axes whose every combination is a run: `dataset`, `net`, `arm`, `recipe`, or any setting of a method."""
    zip: dict[str, list[Any]] = {}
    """Axes of equal length that move together."""
    include: list[dict[str, Any]] = []
    """Single combinations to add; each starts from the recipe alone."""
    exclude: list[dict[str, Any]] = []
    """Combinations to leave out: every run that has all of the given values."""


class IterandStudy(Settings):
    """Everything a study does with IteRand."""

    seeds: Annotated[list[Block], Field(min_length=1)]
    """Blocks of seeds, each trained by one process: `[0-4, 5]`. Add seeds as further blocks: the path of a
    result names its block, so finished ones stay."""
    recipes: dict[Name, dict[str, Any]] = {}
    """Named settings that runs start from; a setting that a run's method does not have is ignored there."""
    arms: dict[Name, dict[str, Any]] = {}
    """Named methods with the settings that make them an arm of a comparison; they override the recipe. The
    name begins with the method's."""
    grids: dict[Name, Grid] = {}
    """Named sets of runs."""
    figures: dict[Name, FigureSettings] = {}
    """Figures by file name."""
    job: JobSettings = JobSettings()
    """What one training job asks of the machine."""
    theory: TheorySettings | None = None
    """Monte-Carlo experiments on the theory, or none."""
    claims: bool = True
    """Check the paper's claims on the runs of this study."""


Entries = dict[Name, dict[str, Any]]
"""Runs by name: settings, and `recipe` (to start from), `pairs` or `seeds`, and `job` where they are not the study's. A
setting that takes one value is swept when it is given a list."""


class TransferStudy(Settings):
    """Everything a study does with learning transfer."""

    pairs: Annotated[list[PairBlock], Field(min_length=1)]
    """Blocks of pairs, each the work of one process: `[1-3]`. Pair k has source seed 100k+1 and target seed 100k+2."""
    recipes: dict[Name, dict[str, Any]] = {}
    """Named settings that entries start from; what a kind of run does not have is ignored there."""
    trainings: Entries = {}
    """Trainings of sources and targets."""
    transfers: Entries = {}
    """Transfers of source trajectories to targets."""
    continuations: Entries = {}
    """Trainings that start from transferred parameters."""
    cosines: Entries = {}
    """How alike the increments of two trainings are: Assumption (P)."""
    synced: Entries = {}
    """Trainings side by side, matched as they go."""
    landscapes: Entries = {}
    """Losses along lines and on planes between solutions."""
    ensembles: Entries = {}
    """Ensembles of continued nets."""
    figures: dict[Name, TransferFigureSettings] = {}
    """Figures by file name."""
    job: JobSettings = JobSettings()
    """What one job asks of the machine."""
    theory: TransferTheorySettings | None = None
    """Simulation of the theorem, or none."""
    claims: bool = True
    """Check the paper's claims on the runs of this study."""


class MetaticketStudy(Settings):
    """Everything a study does with few-shot learning."""

    seeds: Annotated[list[Block], Field(min_length=1)]
    """Blocks of seeds, each trained by one process: `[1-3]`. Add seeds as further blocks."""
    recipes: dict[Name, dict[str, Any]] = {}
    """Named settings that entries start from; what a kind of run does not have is ignored there."""
    trainings: Entries = {}
    """Meta-trainings, and random networks."""
    tests: Entries = {}
    """Trained nets on the tasks of a split, of their own data set or of another."""
    analyses: Entries = {}
    """What adaptation changes in trained nets."""
    figures: dict[Name, FewshotFigureSettings] = {}
    """Figures by file name."""
    job: JobSettings = JobSettings()
    """What one job asks of the machine."""
    claims: bool = True
    """Check the paper's claims on the runs of this study."""


class Study(Settings):
    """studies/<name>.yaml: the science."""

    description: str
    """One sentence for people."""
    extends: Name | None = None
    """Study whose settings this one starts from; mappings are merged key by key, null removes a key."""
    datasets: dict[Name, DatasetSettings] = {}
    """Data sets by the name that runs and results use."""
    nets: dict[Name, AnyNetSettings] = {}
    """Architectures by the name that runs and results use."""
    iterand: IterandStudy | None = None
    """IteRand's runs and figures."""
    transfer: TransferStudy | None = None
    """Learning transfer's runs and figures."""
    metaticket: MetaticketStudy | None = None
    """Few-shot learning's runs and figures."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice, which plain YAML would silently let win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [
            self.construct_object(key, deep=True)
            for key, _ in node.value
            if key.tag != "tag:yaml.org,2002:merge"
        ]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            line = node.start_mark.line + 1
            raise ConfigError(
                f"{node.start_mark.name}, mapping at line {line}: {', '.join(twice)} written twice"
            )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file; raise ConfigError that names file and line otherwise."""
    try:
        with path.open(encoding="utf-8") as stream:
            content = yaml.load(stream, Loader=_Loader)
    except FileNotFoundError:
        siblings = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise ConfigError(
            f"{path.parent.name}/{path.name} does not exist; studies there are: {', '.join(siblings) or 'none'}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.parent.name}/{path.name} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path.parent.name}/{path.name} must be a mapping of settings, not {type(content).__name__}"
        )
    return content


def read_study(folder: Path, name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read studies/<name>.yaml with what it extends merged in; raise ConfigError on a circle."""
    if name in seen:
        raise ConfigError(f"{folder}: studies extend each other in a circle: {' -> '.join((*seen, name))}")
    raw = read_yaml(folder / f"{name}.yaml")
    if isinstance(raw.get("extends"), str):
        raw = _merged(read_study(folder, raw["extends"], (*seen, name)), raw)
    return raw


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `over` on `base`: mappings key by key, anything else as a whole; null removes."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def check_names(study: Mapping[str, Any], methods: Iterable[str], problems: Problems) -> None:
    """Note names that would mislead: one that hides a run's method, one that promises another data set."""
    for section in ("datasets", "nets"):
        names = study.get(section)
        for name in names if isinstance(names, Mapping) else ():
            hidden = sorted(set(str(name).split("-")) & set(methods))
            if hidden:
                problems.add((section, name), f"the name may not contain '{hidden[0]}', which names a method")
    datasets = study.get("datasets")
    for name, raw in datasets.items() if isinstance(datasets, Mapping) else ():
        dataset = Problems("").check((), DatasetSettings, raw)  # what is wrong inside is noted elsewhere
        if dataset is not None:
            try:
                check_name(str(name), dataset)
            except ValueError as error:
                problems.add(("datasets", name), str(error))
