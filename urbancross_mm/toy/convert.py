"""Converting the sample world, as a user converts the real data."""

from __future__ import annotations

import os
from pathlib import Path

from urbancross_mm.datasets.converters import image_folder, precomp, urbancross
from urbancross_mm.datasets.converters.vocab import write_vocabulary
from urbancross_mm.toy.features import FILE, write_sample_features
from urbancross_mm.utils.text_files import read_json

COUNTRIES = ('Finland', 'Germany', 'Spain')
PRECOMP = {'rsicd': 'published', 'rsitmd': 'published', 'ucm': 'stratified'}
# Sets that have configs on frozen features.
FEATURED = ('rsicd', 'ucm')
VOCABULARY = 'vocab.json'
# A city without captions: the images of a country beside its sentences.
CITY, CITY_OF = 'mycity', 'Spain'


def is_converted(root: str | Path) -> bool:
    """Whether :func:`convert_sample` has finished here.

    Args:
        root (str | Path): Root of the sample world.

    Returns:
        bool: The shared vocabulary is written last; a sample of an earlier version may lack the
        features or the city.
    """
    files = [
        VOCABULARY,
        f'{CITY}/annotations/{CITY}_train.json',
        *(f'{name}/{FILE}' for name in FEATURED),
    ]
    return all((Path(root) / file).is_file() for file in files)


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
        urbancross.convert(
            urbancross.Options(
                root=folder,
                out=folder / 'annotations',
                name=country.lower(),
                min_count=1,
                seed=seed,
                force=force,
            )
        )
    for name, split in PRECOMP.items():
        folder = root / name
        precomp.convert(
            precomp.Options(
                root=folder,
                out=folder / 'annotations',
                name=name,
                images=folder / 'images',
                split=split,
                min_count=1,
                seed=seed,
                trainval=True,
                force=force,
            )
        )
    for name in FEATURED:
        write_sample_features(root / name)
    _make_city(root, seed, force)
    captions = [
        text
        for path in sorted(root.rglob('annotations/*_train.json'))
        for item in read_json(path)['data_list']
        for text in item['captions']
    ]
    write_vocabulary(root / VOCABULARY, captions)


def _make_city(root: Path, seed: int, force: bool) -> None:
    """The tiles of one country as a folder without captions, and its sentences as a text file."""
    city, country = root / CITY, root / 'urbancross' / CITY_OF
    city.mkdir(exist_ok=True)
    if not (city / 'images').exists():
        (city / 'images').symlink_to(os.path.relpath(country / 'images', city))
    train = read_json(country / 'annotations' / f'{CITY_OF.lower()}_train.json')
    sentences = sorted(text for item in train['data_list'] for text in item['captions'])
    (city / 'sentences.txt').write_text('\n'.join(sentences) + '\n', encoding='utf-8')
    image_folder.convert(
        image_folder.Options(
            images=city / 'images',
            texts=city / 'sentences.txt',
            out=city / 'annotations',
            name=CITY,
            seed=seed,
            force=force,
        )
    )
