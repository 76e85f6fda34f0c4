"""From an annotation file and its images to WebDataset shards, and the index of shards."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

from urbancross_mm.datasets.web_shards import INDEX, count_samples, webdataset
from urbancross_mm.structures.annotation_schema import FOLDERS, META_KEYS
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.image_files import has_image_suffix
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.utils.progress import track

# What of an item is in the entries of its sample, or names a file that shards do not hold.
LEFT_OUT = ('img_path', 'segments', 'seg_map_path', 'audio_paths')


def write_shards(
    annotations: str | Path,
    out: str | Path,
    images: str | Path | None = None,
    shard_size: int = 1000,
    force: bool = False,
) -> dict[str, int]:
    """Write the images and captions of an annotation file as shards, with their index.

    A sample is the file of the image, its first caption (``txt``) and the fields of its item
    (``json``). The index is written last: a folder without it was not finished.

    Args:
        annotations (str | Path): JSON or Parquet.
        out (str | Path): Folder of the shards, one for each annotation file.
        images (str | Path, optional): Folder of the images. Defaults to None: ``images`` beside
            the folder of the annotation file.
        shard_size (int): Samples of a shard. Defaults to 1000.
        force (bool): Overwrite shards. Defaults to False.

    Returns:
        dict[str, int]: Numbers of ``images``, ``captions`` and ``shards``.

    Raises:
        FileExistsError: If there are shards, without ``force``.
        FileNotFoundError: If the annotations or an image are missing.
        ValueError: If an image has no suffix of an image, or the size is below 1.
    """
    if shard_size < 1:
        raise ValueError(f'shard_size must be at least 1, got {shard_size}')
    out, webdataset_ = Path(out), webdataset()
    metainfo, items = load_annotations(str(annotations), captions_required=False)
    folder = Path(images) if images else Path(annotations).parent.parent / FOLDERS['img_path']
    old = sorted(out.glob('*.tar'))
    if old and not force:
        raise FileExistsError(f'{out} holds shards, such as {old[0].name}: --force replaces them')
    for file in (*old, out / INDEX):
        file.unlink(missing_ok=True)
    sizes = {}
    starts = range(0, len(items), shard_size)
    for number, start in enumerate(track(starts, 'write shards', len(starts), 'shard')):
        some = items[start : start + shard_size]
        name = f'{number:05d}.tar'
        buffer = io.BytesIO()
        # Names that are long, or not ASCII, fit into the format of POSIX alone; a fixed time
        # makes equal files of equal content.
        with webdataset_.TarWriter(buffer, encoder=False, mtime=0, format='PAX_FORMAT') as writer:
            for position, item in enumerate(some, start):
                writer.write(_sample(f'{position:09d}', item, folder))
        atomic_write(out / name, buffer.getvalue())
        sizes[name] = len(some)
    _write_index(out, sizes, {key: metainfo.get(key, '') for key in META_KEYS})
    captions = sum(len(item.get('captions') or ()) for item in items)
    return dict(images=len(items), captions=captions, shards=len(sizes))


def index_shards(folder: str | Path) -> dict[str, int]:
    """Count the samples of shards that another program wrote, and write their index.

    Args:
        folder (str | Path): Of the shards.

    Returns:
        dict[str, int]: Numbers of ``images`` and ``shards``.

    Raises:
        FileNotFoundError: If there is no shard.
        ValueError: If one is damaged.
    """
    files = sorted(Path(folder).glob('*.tar*'))
    if not files:
        raise FileNotFoundError(f'no shards (*.tar) in {folder}')
    sizes = {
        file.name: count_samples(str(file))
        for file in track(files, 'count samples', len(files), 'shard')
    }
    _write_index(Path(folder), sizes, {})
    return dict(images=sum(sizes.values()), shards=len(sizes))


def _sample(key: str, item: dict[str, Any], folder: Path) -> dict[str, Any]:
    name = item['img_path']
    if not has_image_suffix(name):
        raise ValueError(f'the image {name!r} has no suffix of an image, which names its format')
    path = safe_join(str(folder), name)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'image not found: {path}')
    fields = {name: value for name, value in item.items() if name not in LEFT_OUT}
    sample: dict[str, Any] = {
        '__key__': key,
        Path(name).suffix[1:].lower(): Path(path).read_bytes(),
    }
    if item.get('captions'):
        sample['txt'] = item['captions'][0].encode()
    return dict(sample, json=json.dumps(fields, ensure_ascii=False, sort_keys=True).encode())


def _write_index(folder: Path, sizes: dict[str, int], metainfo: dict[str, Any]) -> None:
    content = dict(metainfo=metainfo, shards=sizes)
    atomic_write(folder / INDEX, json.dumps(content, indent=1, ensure_ascii=False) + '\n')
