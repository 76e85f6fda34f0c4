"""The JSON layout of Karpathy: RSICD, RSITMD and NWPU-Captions are published in it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from urbancross_mm.datasets.converters.annotations import hash_file
from urbancross_mm.datasets.converters.options import Options
from urbancross_mm.datasets.converters.records import RecordBuilder, convert_splits
from urbancross_mm.datasets.converters.sources import Problems, Source

# Pictures that COCO moved from val to train.
MERGED = {'restval': 'train'}
SPLITS = ('train', 'val', 'test')


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Convert one file.

    Args:
        options (Options): ``root`` is the file, a JSON ``{"images": [{"filename", "split",
            "sentences": [{"raw"}]}]}``.

    Returns:
        dict[str, dict[str, int]]: Counts of each split that was written.

    Raises:
        FileNotFoundError: If the file or a picture is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If the file does not have this layout; the sentence names file and entry.
    """
    problems = Problems(options.skip_bad)
    builder = RecordBuilder(options)
    pictures = [_parse(entry, f'{options.root}, image {number}', builder)
                for number, entry in enumerate(read_entries(options.root))]
    # Over all splits at once, so that no picture is in two.
    good = set(map(id, problems.check(source for _, source in pictures)))
    splits: dict[str, list[Source]] = defaultdict(list)
    for split, source in pictures:
        if id(source) in good:
            splits[split].append(source)
    if not splits:
        raise ValueError(f'{options.root} lists no picture')
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    return convert_splits(options, ordered, builder, problems, dict(
        generator='karpathy.py', split_rule='published',
        sources={options.root.name: hash_file(options.root)}))


def read_entries(source: Path) -> list[Any]:
    """Read the list of pictures.

    Args:
        source (Path): The JSON file.

    Returns:
        list: Its ``images``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or has no list ``images``.
    """
    if not source.is_file():
        raise FileNotFoundError(f'no file {source}')
    try:
        content = json.loads(source.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{source} is not valid JSON: {error}') from error
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        found = list(content)[:5] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{source} has no list 'images' (found: {found})")
    return content['images']


def _parse(entry: Any, where: str, builder: RecordBuilder) -> tuple[str, Source]:
    try:
        name, split = entry['filename'], MERGED.get(entry['split'], entry['split'])
        texts = [sentence['raw'] for sentence in entry['sentences']]
        folder = entry.get('filepath') or ''
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{where}: expected filename, split and sentences[].raw ({error!r})'
                         ) from error
    if split not in SPLITS or not all(isinstance(text, str) for text in (name, *texts)):
        raise ValueError(f'{where}: split must be one of {SPLITS} or restval, names and captions '
                         f'must be text; got split {split!r} and filename {name!r}')
    # Some files name the folder of a download that nobody's pictures lie in.
    inside = f'{folder}/{name}' if folder else name
    return split, Source(inside if builder.find(inside) else name, texts, where)
