"""Converting the toy world, as a user converts the real data."""

from __future__ import annotations

import os
from pathlib import Path

from urbancross_mm.datasets.converters import image_folder, precomp, seg_maps, urbancross
from urbancross_mm.datasets.converters.seg_map_splits import SplitRule
from urbancross_mm.datasets.converters.vocab import encode_vocabulary
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.toy.features import FILE, write_sample_features
from urbancross_mm.utils.files import atomic_write

COUNTRIES = ('Finland', 'Germany', 'Spain')
PRECOMP = {'rsicd': 'published', 'rsitmd': 'published', 'ucm': 'stratified'}
# Datasets that have configs on frozen features.
FEATURED = ('rsicd', 'ucm')
# Masks of images that have captions, and of images that have none.
MASKED, SCENES = 'rsitmd', 'dronedeploy'
VOCABULARY = 'vocab.json'
# A city without captions: the images of a country, and its captions in a text file.
CITY, CITY_OF = 'mycity', 'Spain'


def is_converted(root: str | Path) -> bool:
    """Whether :func:`convert_sample` has finished here."""
    # The vocabulary is written last. A toy world of an earlier version may lack the others.
    files = [
        VOCABULARY,
        f'{CITY}/annotations/{CITY}_train.json',
        f'{SCENES}/annotations/{SCENES}_train.json',
        *(f'{name}/{FILE}' for name in FEATURED),
        *(f'{name}/audio/0.jpg' for name in PRECOMP),
    ]
    return all((Path(root) / file).is_file() for file in files)


def convert_sample(root: str | Path, seed: int = 0, force: bool = True) -> None:
    """Run the converters on the whole toy world.

    One vocabulary, of all training captions, serves all datasets: a model moves between countries.

    Args:
        root (str | Path): Root of the toy world.
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
                audio=folder / 'audio',
                split=split,
                min_count=1,
                seed=seed,
                trainval=True,
                force=force,
            )
        )
    _name_masks(root, seed, force)
    for name in FEATURED:
        write_sample_features(root / name)
    _make_city(root, seed, force)
    captions = [
        caption
        for path in sorted(root.rglob('annotations/*_train.json'))
        for caption in _captions_of(path)
    ]
    atomic_write(root / VOCABULARY, encode_vocabulary(captions))


def _name_masks(root: Path, seed: int, force: bool) -> None:
    """The masks of RSITMD-SS join captions; those of the two scenes stand alone."""
    folder = root / MASKED
    splits = ('train', 'val', 'trainval', 'test')
    files = tuple(folder / 'annotations' / f'{MASKED}_{split}.json' for split in splits)
    seg_maps.convert(
        seg_maps.Options(root=folder, layout='rsitmd-ss', annotations=files, force=force)
    )
    seg_maps.convert(
        seg_maps.Options(
            root=root / SCENES,
            layout='legend',
            split=SplitRule(group='^[a-z]+', test_groups=('south',), val=0.25, seed=seed),
            force=force,
        )
    )


def _make_city(root: Path, seed: int, force: bool) -> None:
    """The images of one country without captions, and its captions as a text file."""
    city, country = root / CITY, root / 'urbancross' / CITY_OF
    city.mkdir(exist_ok=True)
    if not (city / 'images').exists():
        (city / 'images').symlink_to(os.path.relpath(country / 'images', city))
    captions = sorted(_captions_of(country / 'annotations' / f'{CITY_OF.lower()}_train.json'))
    (city / 'sentences.txt').write_text('\n'.join(captions) + '\n', encoding='utf-8')
    image_folder.convert(
        image_folder.Options(
            images=city / 'images',
            texts=[city / 'sentences.txt'],
            out=city / 'annotations',
            name=CITY,
            seed=seed,
            force=force,
        )
    )


def _captions_of(path: Path) -> list[str]:
    # The city has none, its captions are in the text file; nor have the scenes.
    _, items = load_annotations(str(path), captions_required=False)
    return [caption for item in items for caption in item.get('captions', ())]
