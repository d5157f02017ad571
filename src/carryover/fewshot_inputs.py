"""What the arguments of `carryover fewshot` name: a meta-trained net, and pictures prepared as its data set was."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from carryover.core.config import parse
from carryover.data.batches import Normaliser
from carryover.data.folder import BROKEN, EXTENSIONS, Resize, decode, fit, opened
from carryover.data.images import Images, load_images
from carryover.io.checkpoint import load_tensors
from carryover.io.files import sha256_of
from carryover.io.manifest import Manifest, read_manifest
from carryover.metaticket.own import TrainedNet
from carryover.metaticket.settings import FewshotTraining

NETS = "nets.safetensors"
Invert = Literal["auto", "yes", "no"]
INVERTED = ("omniglot",)
"""Sources whose preparation turns dark ink on light paper into light ink on black."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one folder, as a net takes them."""

    names: tuple[str, ...]
    """Path of each, relative to the folder."""
    examples: Float[Tensor, "n channels height width"]
    labels: tuple[str, ...] | None
    """Class folder of each; None where pictures lie in no class folders."""


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an example: in the same steps as those of the data set that a net was trained on."""

    shape: tuple[int, int, int]
    """Channels, height and width."""
    resize: Resize
    invert: bool
    normaliser: Normaliser

    def read(self, path: Path, option: str) -> Pictures:
        """Read all pictures of a folder or zip, sorted by name: all in class folders, or none.

        Raises ValueError when there are none, when they lie elsewhere or when one is damaged; `option` names the
        argument in messages.
        """
        if not path.exists():
            raise ValueError(f"{option}: {path} is not there: name a folder (or a zip) of pictures")
        with opened(path) as (names, read):
            if not names:
                raise ValueError(f"{option}: {path} holds no pictures ({', '.join(EXTENSIONS)})")
            by_depth = {name.count("/"): name for name in names}
            if len(by_depth) > 1 or max(by_depth) > 1:
                raise ValueError(
                    f"{option}: the pictures of {path} all lie in it or all in folders called like their class, not"
                    f" like {' and '.join(by_depth[depth] for depth in sorted(by_depth))}"
                )
            pixels = [self._pixels(path / name, read(name), option) for name in names]
        labels = tuple(name.partition("/")[0] for name in names) if 1 in by_depth else None
        examples = self.normaliser.normalise(self.normaliser.unit(torch.stack(pixels)))
        return Pictures(tuple(names), examples, labels)

    def _pixels(self, path: Path, data: bytes, option: str) -> Tensor:
        """Decode one picture and bring it to the size of the data set; the centre is cut out."""
        channels, height, width = self.shape
        try:
            picture = decode(data, channels)
        except BROKEN as error:
            raise ValueError(f"{option}: {path} cannot be read ({error}): replace or remove it") from error
        if self.invert:
            picture = ImageOps.invert(picture)
        if height == width:
            picture = fit(picture, height, self.resize)
        elif picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture))
        return (pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)).to(self.normaliser.mean.device)


@dataclass(frozen=True)
class Given:
    """A net that a study has meta-trained, and how its pictures are prepared."""

    net: TrainedNet
    run: str
    """Name of the training."""
    preparation: Preparation


def open_run(
    folder: Path,
    seed: int | None = None,
    *,
    images: Path | None = None,
    invert: Invert = "auto",
    device: str = "auto",
) -> Given:
    """Open one net of a meta-training: of a block such as `s1-3`, or of the run that the block belongs to.

    `images` is where the data set of the training lies, which says how pictures are scaled; where it was when it is not
    given. With `invert` `auto` pictures are inverted where the data set's were (Omniglot).
    Raises ValueError when the training is missing, unfinished or damaged, when it has several nets and `seed` chooses
    none, when it is no training on images, or when the data set is not the one of the training.
    """
    chosen = torch.device(_device(device))
    block, manifest, seed = _block(folder, seed)
    tensors, notes = load_tensors(block / NETS)
    run = parse(FewshotTraining, manifest.spec or "")
    if run.net.kind == "regressor":
        raise ValueError(f"{block} predicts numbers (sinusoids): this command is for nets of images")
    own = {n.removeprefix(f"{seed}/"): t.to(chosen) for n, t in tensors.items() if n.startswith(f"{seed}/")}
    channels, height, width = map(int, notes["shape"].split(","))
    shape = (channels, height, width)
    data = load_images(_images(block, manifest, images), splits=())
    preparation = prepared_as(data, shape, invert, torch.zeros((), device=chosen))
    return Given(TrainedNet(run, seed, shape, own), str(manifest.record["run"]), preparation)


def prepared_as(images: Images, shape: tuple[int, int, int], invert: Invert, like: Tensor) -> Preparation:
    """Say how a picture is brought to the form of a data set; it has 8 bits, whatever the data set has."""
    spec = json.loads(images.spec)
    inverted = spec.get("source") in INVERTED if invert == "auto" else invert == "yes"
    normaliser = Normaliser(255.0, images.mean, images.std, like)
    return Preparation(shape, spec.get("resize"), inverted, normaliser)


def _block(folder: Path, seed: int | None) -> tuple[Path, Manifest, int]:
    """Find the block of a net, and its seed: of the block or of the run that `folder` is."""
    blocks = [folder] if (folder / "manifest.json").is_file() else []
    blocks = blocks or sorted(path.parent for path in folder.glob("*/manifest.json"))
    if not blocks:
        raise ValueError(
            f"{folder / 'manifest.json'} is missing, so {folder} is no finished training, such as"
            " results/demo/metaticket/trainings/<run>/s1-3: `snakemake` with the path of its manifest makes it"
        )
    found: dict[int, tuple[Path, Manifest]] = {}
    for block in blocks:
        manifest = read_manifest(block / "manifest.json", only=[NETS])
        if manifest.stage != FewshotTraining.stage or manifest.spec is None:
            raise ValueError(
                f"{block} holds no meta-trained nets: name a block of the `trainings` of few-shot learning"
            )
        tensors, _ = load_tensors(block / NETS)
        found |= {int(name.partition("/")[0]): (block, manifest) for name in tensors}
    if not found:
        raise ValueError(f"{folder} has no net to adapt: every net of it diverged in training")
    wanted = [own for own in sorted(found) if seed in (None, own)]
    if len(wanted) != 1:
        listed = ", ".join(map(str, sorted(found)))
        raise ValueError(f"{folder} has nets of the seeds {listed}: choose one with --seed")
    return *found[wanted[0]], wanted[0]


def _images(block: Path, manifest: Manifest, given: Path | None) -> Path:
    """Name the data set that the nets were trained on, after checking that it is still that one."""
    name, digest = next(iter(manifest.inputs.items()))
    if given is not None:
        if not given.is_file():
            raise ValueError(f"--images: {given} is not there: name the file of the data set, once {name}")
        if sha256_of(given) != digest:
            raise ValueError(
                f"--images {given} is not {name}, the data set that {block} was trained on: name that file, wherever "
                "it lies now"
            )
        return given
    if not Path(name).is_file():
        raise ValueError(
            f"{name}, which {block} was trained on, is not below {Path.cwd()}: go to the folder that `snakemake` was"
            " started in, or say where it is with --images"
        )
    if sha256_of(Path(name)) != digest:
        raise ValueError(f"{name} is not the file that {block} was trained on: say which is, with --images")
    return Path(name)


def _device(name: str) -> str:
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no GPU here; use auto or cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
