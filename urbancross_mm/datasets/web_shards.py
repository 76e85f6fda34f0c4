"""WebDataset shards: which there are, how many samples each has, and reading one."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from urbancross_mm.utils.image_files import IMAGE_SUFFIXES
from urbancross_mm.utils.optional import import_optional
from urbancross_mm.utils.text_files import parse_json, read_json

INDEX = 'shards.json'
ADVICE = 'make shards with tools/dataset_converters/web_shards.py ANNOTATIONS --out FOLDER'
# What a sample may call its image: img, or the suffix of its format.
IMAGE_KEYS = ('img', *(suffix[1:] for suffix in IMAGE_SUFFIXES))


class Shard(NamedTuple):
    """A tar file of samples, by path or URL."""

    url: str
    samples: int


def webdataset() -> ModuleType:
    """The library.

    Returns:
        ModuleType: webdataset.

    Raises:
        ImportError: If it is not installed.
    """
    return import_optional('webdataset', 'reading shards of tar files', 'webdataset')


def list_shards(shards: str | Sequence[str], index: str | None = None) -> list[Shard]:
    """Find shards and their sizes.

    Args:
        shards (str | Sequence[str]): A folder; a path or URL whose braces stand for several, such
            as ``data/{00000..00099}.tar`` or ``pipe:aws s3 cp s3://bucket/{00000..00099}.tar -``;
            or a list of those.
        index (str | None): JSON file with the number of samples of each shard, by the name of
            its file, as ``tools/dataset_converters/web_shards.py`` writes it. Defaults to None:
            ``shards.json`` beside the first shard; without one, local shards are counted.

    Returns:
        list[Shard]: In order.

    Raises:
        FileNotFoundError: If there is no shard, or one is missing.
        ValueError: If the size of one is not known, or the index is wrong.
    """
    urls = [
        url for part in ([shards] if isinstance(shards, str) else shards) for url in _urls(part)
    ]
    if not urls:
        raise FileNotFoundError(f'no shards (*.tar) at {shards} ({ADVICE})')
    beside = os.path.join(os.path.dirname(urls[0]), INDEX)
    path = index or (beside if os.path.isfile(beside) else None)
    sizes = read_index(path) if path else {}
    found = []
    for url in urls:
        if is_local(url) and not os.path.isfile(url):
            raise FileNotFoundError(f'shard not found: {os.path.abspath(url)} ({ADVICE})')
        name = shard_name(url)
        if name in sizes:
            found.append(Shard(url, sizes[name]))
        elif is_local(url):
            found.append(Shard(url, count_samples(url)))
        else:
            raise ValueError(
                f'the number of samples of {url} is not known'
                f'{f": {path} does not name {name!r}" if path else ""}; give index=, a file that '
                'tools/dataset_converters/web_shards.py makes, so that all ranks get equal shares'
            )
    return found


def read_index(path: str) -> dict[str, int]:
    """Number of samples of each shard.

    Args:
        path (str): A JSON file: an object with ``shards``, numbers by name.

    Returns:
        dict[str, int]: By name of the file.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it holds something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'index of shards not found: {os.path.abspath(path)}')
    content = read_json(path)
    sizes = content.get('shards') if isinstance(content, dict) else None
    if not isinstance(sizes, dict) or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0
        for size in sizes.values()
    ):
        raise ValueError(f"{path} must be an object with 'shards', numbers of samples by name")
    return sizes


def count_samples(path: str) -> int:
    """Count the samples of a local shard, by the heads of its entries.

    Args:
        path (str): The tar file.

    Returns:
        int: Groups of entries whose names are the same up to the first dot.

    Raises:
        ValueError: If it is damaged.
    """
    keys: list[str] = []
    try:
        with tarfile.open(path) as archive:
            for entry in archive:
                key = entry.name.rpartition('/')[0] + '/' + Path(entry.name).name.partition('.')[0]
                if entry.isfile() and keys[-1:] != [key]:
                    keys.append(key)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f'shard {path} is damaged: {error}') from error
    return len(keys)


def shard_name(url: str) -> str:
    """The name of a shard, by which an index knows it.

    Args:
        url (str): Its path or URL; of a command, the word that ends in ``.tar``.

    Returns:
        str: Without folders.
    """
    words = [word for word in url.split() if '.tar' in word] or [url]
    return words[0].partition('?')[0].rpartition('/')[2]


def read_shard(shard: Shard, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """Stream some samples of a shard; those before are passed over.

    Args:
        shard (Shard): The shard.
        start (int): First sample.
        stop (int): Behind the last one.

    Yields:
        dict[str, Any]: ``__key__``, and the content of its files by suffix.

    Raises:
        ValueError: If the shard cannot be read so far.
    """
    samples = webdataset().tariterators.tarfile_samples([dict(url=shard.url)])
    number = 0
    try:
        for number, sample in enumerate(samples, 1):
            if number > start:
                yield sample
            if number == stop:
                return
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        reason = ' '.join(str(error.args[0] if error.args else error).split())
        raise ValueError(
            f'shard {shard.url} cannot be read behind sample {number} of {shard.samples}: {reason}'
        ) from error
    raise ValueError(
        f'shard {shard.url} has {number} samples, and its index says {shard.samples}: '
        'make the index again (tools/dataset_converters/web_shards.py --index)'
    )


def metainfo_of(folder: str, index: str | None = None) -> dict[str, Any]:
    """What the index says of all shards besides their sizes.

    Args:
        folder (str): Of the shards.
        index (str | None): The index, where it lies elsewhere. Defaults to None.

    Returns:
        dict[str, Any]: ``dataset``, ``domain`` and ``split``, as far as it names them.
    """
    path = index or os.path.join(folder, INDEX)
    if not os.path.isfile(path):
        return {}
    metainfo = parse_json(Path(path).read_text('utf-8'), path).get('metainfo')
    return metainfo if isinstance(metainfo, dict) else {}


def _urls(part: str) -> list[str]:
    if os.path.isdir(part):
        return sorted(os.path.join(part, name) for name in os.listdir(part) if '.tar' in name)
    return webdataset().shardlists.expand_urls(part)


def is_local(url: str) -> bool:
    """Whether a shard is a file, not the URL or the command that brings one.

    Args:
        url (str): As a config names it.

    Returns:
        bool: True for a path.
    """
    return '://' not in url and not url.startswith('pipe:')
