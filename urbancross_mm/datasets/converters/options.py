"""What the command lines of the caption converters have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from urbancross_mm.utils.files import check_outputs

SPLIT_RULES = ('published', 'random', 'stratified')


@dataclass(kw_only=True)
class Options:
    """What the command line decides, in every caption converter.

    Attributes:
        root (Path): What is converted.
        out (Path): Folder for the annotations.
        name (str): Of the dataset, its domain and the files.
        images (Path | None): Folder of images; None converts without looking at them.
        segments (Path | None): Folder of segment files; None: beside the images.
        seg_maps (Path | None): Folder of class maps; None: beside the images.
        seed (int): Of the splits that are drawn.
        only_present (bool): Leave out images that are not on disk, and count them.
        skip_bad (bool): Leave out lines with a file name that climbs out or comes twice, and count
            them.
        min_count (int): Words that the training captions use less often are ``<unk>`` in the
            vocabulary. The published ones say 5.
        suffix (str): ``.json`` or ``.parquet``.
        force (bool): Overwrite.
    """

    root: Path
    out: Path
    name: str
    images: Path | None = None
    segments: Path | None = None
    seg_maps: Path | None = None
    seed: int = 0
    only_present: bool = False
    skip_bad: bool = False
    min_count: int = 5
    suffix: str = '.json'
    force: bool = False

    def __post_init__(self) -> None:
        if self.suffix not in ('.json', '.parquet'):
            raise ValueError(f'annotations are .json or .parquet, got {self.suffix!r}')
        check_name_and_seed(self.name, self.seed)


@dataclass(kw_only=True)
class DividedOptions(Options):
    """Of a converter whose training list may have no val; further fields in :class:`Options`.

    Attributes:
        split (str): One of ``SPLIT_RULES``: train and val as published, or drawn by ``seed`` from
            the training list, at random or within each class.
    """

    split: str = 'published'

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in SPLIT_RULES:
            raise ValueError(f'--split must be one of {SPLIT_RULES}, got {self.split!r}')


def check_name_and_seed(name: str, seed: int) -> None:
    """Refuse a name that leads out of the output folder, and a negative seed."""
    if name in ('', '..') or Path(name.replace('\\', '/')).name != name:
        raise ValueError(f'--name must be a plain name without folders, got {name!r}')
    if seed < 0:
        raise ValueError(f'--seed must be at least 0, got {seed}')


def refuse_overwrite(paths: Iterable[str | Path], force: bool) -> None:
    """Stop before any work if an output exists (unless forced) or cannot be written."""
    paths = list(paths)
    check_outputs(paths)
    for path in paths:
        if Path(path).exists() and not force:
            raise FileExistsError(f'{path} exists already: give --force to overwrite it')


def print_counts(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Print one line per split."""
    for split, numbers in counts.items():
        shown = [
            f'{number} {what.replace("_", " ")}'
            for what, number in numbers.items()
            if number or what in ('images', 'captions')
        ]
        print(f'{split}: ' + ', '.join(shown))
