"""Sections of a dataset card about its annotations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from urbancross_mm.curation.card.blocks import Block, Figure, Section, Share, Table, Text, Value
from urbancross_mm.curation.card.sources import Sources
from urbancross_mm.datasets.verification.leakage import FITTED, Split
from urbancross_mm.datasets.vocabulary import split_words
from urbancross_mm.visualization import draw_histograms, draw_tile_map

MOST = 30


def sizes(sources: Sources) -> Section:
    """Numbers of images, captions, segments, tags, classes, positions and recordings."""
    rows: list[list[Value]] = []
    for split in sources.splits:
        texts = _texts(split)
        rows.append(
            [
                split.name,
                len(split.items),
                len(texts),
                len(set(texts)),
                *(
                    sum(bool(item.get(key)) for item in split.items)
                    for key in ('segments', 'seg_map_path', 'geo_tags', 'label')
                ),
                sum(item.get('lon') is not None for item in split.items),
            ]
        )
    columns = [
        'split',
        'images',
        'captions',
        'distinct captions',
        'with segments',
        'with class map',
        'with tags',
        'with class',
        'with position',
    ]
    heard = [_recordings(split) for split in sources.splits]
    if any(heard):
        columns.append('recordings')
        rows = [[*row, count] for row, count in zip(rows, heard)]
    return Section('Size', [Table(columns, rows)])


def _recordings(split: Split) -> int:
    """Captions may share one."""
    return len({name for item in split.items for name in item.get('audio_paths') or () if name})


def captions(sources: Sources) -> Section:
    """Lengths of the captions."""
    if not sources.captioned:
        return Section('Captions', [Text('The images have no captions.')])
    words = {
        split.name: [len(split_words(text)) for text in _texts(split)]
        for split in sources.splits
        if _texts(split)
    }
    rows: list[list[Value]] = []
    for split in sources.splits:
        if split.name in words:
            counts, letters = np.array(words[split.name]), [len(text) for text in _texts(split)]
            rows.append(
                [
                    split.name,
                    float(counts.mean()),
                    float(np.median(counts)),
                    float(np.percentile(counts, 95)),
                    int(counts.max()),
                    float(np.mean(letters)),
                    max(letters),
                ]
            )
    columns = ['split', 'words, mean', 'median', '95 %', 'longest', 'characters, mean', 'longest']
    figure = Figure(
        'caption-lengths',
        draw_histograms(words, 'words of a caption', whole=True),
        'Words of the captions',
    )
    return Section('Captions', [Table(columns, rows), figure])


def vocabulary(sources: Sources) -> Section:
    """The most common words, and the share of words that training never sees."""
    if not sources.captioned:
        return Section('Words')
    counts = {
        split.name: Counter(word for text in _texts(split) for word in split_words(text))
        for split in sources.splits
    }
    # If there is train, trainval is no training split: it contains val.
    fitted = ['train'] if 'train' in counts else [name for name in counts if name in FITTED]
    known = {word for name in fitted for word in counts[name]}
    rows: list[list[Value]] = []
    for name, words in counts.items():
        total, new = words.total(), sum(n for word, n in words.items() if word not in known)
        rows.append(
            [
                name,
                total,
                len(words),
                sum(n == 1 for n in words.values()),
                '' if name in fitted or not known else Share(new / max(1, total)),
            ]
        )
    columns = [
        'split',
        'running words',
        'distinct words',
        'used once',
        f'running words that {" and ".join(fitted) or "training"} lacks',
    ]
    whole: Counter[str] = Counter()
    for text in dict.fromkeys(text for split in sources.splits for text in _texts(split)):
        whole.update(set(split_words(text)))
    texts = len({text for split in sources.splits for text in _texts(split)})
    return Section(
        'Words', [Table(columns, rows), _most_common(whole, texts, 'word', 'distinct captions')]
    )


def tags(sources: Sources) -> Section:
    """Numbers of images with each tag and each class."""
    items = {item['img_id']: item for split in sources.splits for item in split.items}
    blocks: list[Block] = []
    for key, name in (('geo_tags', 'tag'), ('label', 'class')):
        tagged = [
            item[key] if key == 'geo_tags' else [item[key]]
            for item in items.values()
            if item.get(key)
        ]
        counts = Counter(value for values in tagged for value in set(map(str, values)))
        if counts:
            blocks.append(
                Text(
                    f'{len(counts):,} distinct {name}{"es" if name == "class" else "s"} '
                    f'on {len(tagged):,} of {len(items):,} images.'
                )
            )
            blocks.append(_most_common(counts, len(items), name, 'images'))
    return Section('Tags and classes', blocks or [Text('The images have no tags and no class.')])


def positions(sources: Sources) -> Section:
    """A map of the tiles."""
    groups = {
        split.name: np.array(
            [
                (item['lon'], item['lat'])
                for item in split.items
                if item.get('lon') is not None and item.get('lat') is not None
            ],
            dtype=float,
        ).reshape(-1, 2)
        for split in sources.whole
    }
    groups = {name: points for name, points in groups.items() if len(points)}
    if not groups:
        return Section('Locations', [Text('No image has a position.')])
    points = np.concatenate(list(groups.values()))
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    text = (
        f'{len(points):,} tiles between {west:.4f} and {east:.4f} degrees of longitude, '
        f'{south:.4f} and {north:.4f} of latitude.'
    )
    return Section(
        'Locations', [Text(text), Figure('map', draw_tile_map(groups), 'Centers of tiles')]
    )


def origin(sources: Sources) -> Section:
    """The metainfo of the annotation files."""
    splits_of: dict[tuple[str, str], list[str]] = {}
    for split, metainfo in zip(sources.splits, sources.metainfo):
        for key, value in metainfo.items():
            if key in ('split', 'schema', 'counts'):
                continue
            parts = (
                {f'{key}: {name}': part for name, part in value.items()}
                if isinstance(value, dict)
                else {key: value}
            )
            for name, part in parts.items():
                splits_of.setdefault((name, _plain(part)), []).append(split.name)
    everywhere = [split.name for split in sources.splits]
    rows = [
        [name, text, '' if names == everywhere else ', '.join(names)]
        for (name, text), names in splits_of.items()
    ]
    return Section('Origin', [Table(['', 'value', 'only of'], rows)])


def _texts(split: Split) -> list[str]:
    return [text for item in split.items for text in item['captions']]


def _most_common(counts: Counter[str], total: int, what: str, of: str) -> Table:
    # Equal counts are sorted by name, so that the order of the images does not matter.
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return Table(
        [what, of, 'share'],
        [[name, count, Share(count / max(1, total))] for name, count in ordered[:MOST]],
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def dataset_name(metainfo: Sequence[dict[str, Any]]) -> str:
    """Names of the datasets."""
    return ', '.join(dict.fromkeys(str(part.get('dataset') or '?') for part in metainfo))
