"""Converting the sample world, as a user converts the real data."""

from __future__ import annotations

import json
from pathlib import Path

from urbancross_mm.datasets.converters import precomp, urbancross
from urbancross_mm.datasets.converters.vocab import write_vocabulary

COUNTRIES = ('Finland', 'Germany', 'Spain')
PRECOMP = {'rsicd': 'published', 'rsitmd': 'published', 'ucm': 'stratified'}
VOCABULARY = 'vocab.json'


def is_converted(root: str | Path) -> bool:
    """Whether :func:`convert_sample` has finished here.

    Args:
        root (str | Path): Root of the sample world.

    Returns:
        bool: The shared vocabulary is written last.
    """
    return (Path(root) / VOCABULARY).is_file()


def convert_sample(root: str | Path, seed: int = 0, force: bool = True) -> None:
    """Run the converters over the whole sample world.

    One vocabulary, of all training captions, serves all sets: a model moves between countries.

    Args:
        root (str | Path): Root of the sample world.
        seed (int): Of the splits. Defaults to 0.
        force (bool): Overwrite earlier annotations. Defaults to True.
    """
    root = Path(root)
    for country in COUNTRIES:
        folder = root / 'urbancross' / country
        urbancross.convert(urbancross.Options(
            root=folder, out=folder / 'annotations', name=country.lower(), min_count=1, seed=seed,
            force=force))
    for name, split in PRECOMP.items():
        folder = root / name
        precomp.convert(precomp.Options(
            root=folder, out=folder / 'annotations', name=name, images=folder / 'images',
            split=split, min_count=1, seed=seed, trainval=True, force=force))
    captions = [text for path in sorted(root.rglob('annotations/*_train.json'))
                for item in json.loads(path.read_text())['data_list'] for text in item['captions']]
    write_vocabulary(root / VOCABULARY, captions)
