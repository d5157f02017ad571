"""The sources that can be downloaded: their files, checksums, places in a mirror, and readers."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchvision import datasets

from carryover.data.cifar import CIFAR10, CIFAR100, CifarLayout, read_cifar
from carryover.data.idx import read_content, read_idx_set
from carryover.data.omniglot import digest_of_drawings, read_omniglot, resize_drawings
from carryover.data.prepare import Contents, shrink
from carryover.data.svhn import read_svhn


def digest_decompressed(path: Path) -> str:
    """Digest the bytes of a file, decompressed if it is gzipped, with SHA-256.

    Raises ValueError when it cannot be decompressed.
    """
    return hashlib.sha256(read_content(path)).hexdigest()


@dataclass(frozen=True)
class Content:
    """What a copy has in common with the original, also when it is packed otherwise."""

    called: str
    """What is digested, in words."""
    digest: Callable[[Path], str]
    """Digests it with SHA-256; raises ValueError when the file is damaged."""


DECOMPRESSED = Content("decompressed bytes", digest_decompressed)
DRAWINGS = Content("drawings", digest_of_drawings)


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A file of a source as its makers publish it, and how it is recognised."""

    name: str
    """Official file name."""
    urls: tuple[str, ...]
    """Where it can be downloaded, in the order to try."""
    sha256: str | None = None
    """SHA-256 of the content: a recompressed or decompressed copy is as good."""
    content: Content = DECOMPRESSED
    """What `sha256` is of."""
    md5: str | None = None
    """MD5 of the file as its makers publish it; one of the two suffices."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a valid copy may have."""
        bare = self.name.removesuffix(".gz")
        return (self.name, bare) if self.sha256 and bare != self.name else (self.name,)


@dataclass(frozen=True, kw_only=True)
class Download:
    """A source that can be downloaded."""

    files: tuple[RawFile, ...]
    """All of its files."""
    folders: tuple[str, ...]
    """Folders of a mirror that may hold them, beside one with the name of the source."""
    read: Callable[[Mapping[str, Path]], Contents]
    """Reads the files, given by official name, in the order of `files`."""
    resize: Callable[[Contents, int | None], Contents] = shrink
    """Brings images to the setting `size`."""


# SHA-256 of the decompressed files, computed from copies that are identical with the official ones
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
# SHA-256 of names and pixels, computed from a complete copy in the original layout
OMNIGLOT_SHA256 = {
    "images_background": "4292eadfe465ca17bdb21d62b7e26b949775418be9f8e3ba753b52cd6149ce94",
    "images_evaluation": "2eabde80012ba9fcbb006d71d7d0ed1ec59fd7a79e34a3dcc439354399872139",
}


def _idx(torch_class: type[datasets.MNIST], sha256: Mapping[str, str], origin: str) -> Download:
    files = tuple(
        RawFile(
            name=name,
            urls=tuple(mirror + name for mirror in torch_class.mirrors),
            sha256=sha256.get(name),
            md5=md5,
        )
        for name, md5 in torch_class.resources
    )
    folder = torch_class.__name__
    read = partial(read_idx_set, classes=torch_class.classes, origin=origin)
    return Download(files=files, folders=(f"{folder}/raw", folder), read=read)


def _cifar(torch_class: type[datasets.CIFAR10], md5: str, layout: CifarLayout, origin: str) -> Download:
    # torchvision reads the pickled version; the binary one lies beside it
    url = torch_class.url.replace("-python.", "-binary.")
    name = url.rpartition("/")[2]
    return Download(
        files=(RawFile(name=name, urls=(url,), md5=md5),),
        folders=(torch_class.__name__, "."),
        read=lambda files: read_cifar(files[name], layout, origin),
    )


def _svhn(origin: str) -> Download:
    train, test = (
        RawFile(name=name, urls=(url,), md5=md5)
        for url, name, md5 in (datasets.SVHN.split_list[part] for part in ("train", "test"))
    )
    return Download(
        files=(train, test),
        folders=("SVHN", "."),
        read=lambda files: read_svhn(files[train.name], files[test.name], origin),
    )


def _omniglot() -> Download:
    urls = {name: f"{datasets.Omniglot.download_url_prefix}/{name}.zip" for name in OMNIGLOT_SHA256}
    return Download(
        files=tuple(
            RawFile(
                name=f"{name}.zip",
                urls=(urls[name],),
                sha256=sha256,
                content=DRAWINGS,
                md5=datasets.Omniglot.zips_md5[name],
            )
            for name, sha256 in OMNIGLOT_SHA256.items()
        ),
        folders=("omniglot-py", "."),
        read=read_omniglot,
        resize=resize_drawings,
    )


DOWNLOADS: dict[str, Download] = {
    "mnist": _idx(datasets.MNIST, MNIST_SHA256, "MNIST, the official files with their official split."),
    "fashion-mnist": _idx(
        datasets.FashionMNIST,
        FASHION_MNIST_SHA256,
        "Fashion-MNIST, the official files with their official split.",
    ),
    "kmnist": _idx(datasets.KMNIST, {}, "Kuzushiji-MNIST, the official files with their official split."),
    "omniglot": _omniglot(),
    "cifar10": _cifar(
        datasets.CIFAR10,
        "c32a1d4ab5d03f1284b67883e8d87530",
        CIFAR10,
        "CIFAR-10, the official binary version with its official split.",
    ),
    "cifar100": _cifar(
        datasets.CIFAR100,
        "03b5dce01913d631647c71ecec9e9cb8",
        CIFAR100,
        "CIFAR-100 with its fine classes, the official binary version with its official split.",
    ),
    "svhn": _svhn("SVHN, cropped digits, the official train and test files."),
}
"""Every source that can be downloaded."""
