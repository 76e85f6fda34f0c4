"""Tiny data in the published layouts."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.utils.ids import stable_id

QUIRKS = (('train', '', False), ('test', '', True))
VERIFY = (('train', '_verify', False), ('val', '_verify', True))


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    """One line each, in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
    return path


def captions_of(name: str) -> list[str]:
    """Five captions that name their image."""
    return [f'caption {k} of {name}' for k in range(5)]


def write_list(
    root: Path,
    split: str,
    names: Sequence[str],
    tail: str = '',
    repeat: bool = False,
    captions: Mapping[str, list[str]] | None = None,
) -> None:
    """One pair of text files: names once, or five times."""
    texts = [(captions or {}).get(name, captions_of(name)) for name in names]
    write_lines(root / f'{split}_caps{tail}.txt', [text for five in texts for text in five])
    write_lines(
        root / f'{split}_filename{tail}.txt',
        [name for name in names for _ in range(5 if repeat else 1)],
    )


def write_precomp(
    root: Path,
    train: Sequence[str],
    test: Sequence[str],
    val: Sequence[str] | None = (),
    **kwargs: Any,
) -> Path:
    """A precomp folder with the published quirks; without ``val`` there are no verify files."""
    write_list(root, 'train', train, **kwargs)
    write_list(root, 'test', test, repeat=True, **kwargs)
    if val is not None:
        rest = [name for name in train if name not in val]
        write_list(root, 'train', rest, '_verify', **kwargs)
        write_list(root, 'val', val, '_verify', repeat=True, **kwargs)
    return root


def write_image(path: Path, size: tuple[int, int] = (12, 16), seed: int | None = None) -> Path:
    """An image of noise, (height, width); without a seed, of a noise of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = stable_id(str(path)) if seed is None else seed
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def write_csv(
    path: Path,
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str] = ('image_name', 'description'),
) -> Path:
    """A table of descriptions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='utf-8', newline='') as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_country(root: Path, count: int = 40) -> Path:
    """A country without images."""
    write_csv(
        root / 'instructblip_generation_finland_refine.csv',
        [(f'a{n}_FI_19.jpg', f'a view of place {n}') for n in range(count)],
    )
    return root


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Metainfo and records of an annotation file."""
    content = json.loads(path.read_text(encoding='utf-8'))
    return content['metainfo'], content['data_list']


def names_of(path: Path) -> set[str]:
    """Images of an annotation file."""
    return {item['img_path'] for item in read(path)[1]}
