"""Images and items of an index that are to be classified, with the labels that they have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import torch

from urbancross_mm.inference.classification import ClassReport, SceneClassifier
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.indexing.base_source import BaseSource
from urbancross_mm.inference.indexing.sources import open_sources
from urbancross_mm.inference.stores import open_store
from urbancross_mm.utils.image_files import list_image_files
from urbancross_mm.utils.progress import track

BATCH = 256
# Attributes that a table of classes repeats.
SHOWN = ('img_path', 'window', 'lon', 'lat', 'bounds', 'country')


class Batch(NamedTuple):
    """Some items: their ids and attributes, and their embeddings ``(N, D)``."""

    ids: list[str]
    records: list[Mapping[str, Any]]
    embeds: torch.Tensor


def items_of(
    embedder: Embedder, images: str | None, index: str | None, skip_bad: bool = False
) -> Iterator[Batch]:
    """Encode images, or read the vectors of an index.

    Args:
        embedder (Embedder): The model.
        images (str | None): A folder, an annotation file or a GeoTIFF.
        index (str | None): Location of an index; one of both is given.
        skip_bad (bool): Leave out images that cannot be read. Defaults to False.

    Yields:
        Batch: A few items at a time.

    Raises:
        FileNotFoundError: If the images are missing.
        ValueError: If an image cannot be read, or another model made the index.
    """
    if index is None:
        (source,) = open_sources([str(images)])
        yield from _encoded(embedder, source, skip_bad)
        return
    with open_store(index, embedder.fingerprint, read_only=True) as store:
        waiting = []
        for item in track(store.items(embeds=True), 'read', len(store)):
            waiting.append(item)
            if len(waiting) == BATCH:
                yield _batch(waiting)
                waiting = []
        if waiting:
            yield _batch(waiting)


def _encoded(embedder: Embedder, source: BaseSource, skip_bad: bool) -> Iterator[Batch]:
    left = len(source)
    parts = source.encode(range(len(source)), embedder, skip_bad)
    for part in track(parts, 'encode', -(-len(source) // embedder.batch_size), 'batch'):
        left -= len(part.positions)
        if part.positions:
            ids = [source.id_of(position) for position in part.positions]
            yield Batch(ids, [source.attributes(p) for p in part.positions], part.embeds)
    if left == len(source):
        raise ValueError(f'none of the {left} images in {source.path} could be read')
    if left:
        print(f'{left} of {len(source)} images were left out')


def _batch(items: list[Any]) -> Batch:
    embeds = torch.stack([torch.from_numpy(item.embed).float() for item in items])
    return Batch([item.id for item in items], [item.attributes for item in items], embeds)


def label_names(images: str | None, index: str | None) -> list[str]:
    """Names of the folders that images lie in, as classes.

    Args:
        images (str | None): A folder of folders.
        index (str | None): Has no folders.

    Returns:
        list[str]: Sorted.

    Raises:
        ValueError: If there are no folders to name classes.
    """
    folders = []
    if index is None and images is not None and os.path.isdir(images):
        names = list_image_files(images).names
        folders = sorted({name.partition('/')[0] for name in names if '/' in name})
    if len(folders) < 2:
        raise ValueError(
            f'{images or index} is no folder with a folder per class: name the classes with '
            '--classes'
        )
    return folders


def classify(
    classifier: SceneClassifier, items: Iterable[Batch], examples: str | None = None
) -> tuple[list[dict[str, Any]], ClassReport | str]:
    """Classify items, and compare with the labels that some have.

    A label is the attribute ``label``, else a folder above the image and below the source. An image
    among the examples does not count.

    Args:
        classifier (SceneClassifier): The classes.
        items (Iterable[Batch]): Of :func:`items_of`.
        examples (str, optional): Folder of the examples. Defaults to None.

    Returns:
        tuple[list[dict], ClassReport | str]: One record per item, with ``class``, ``score`` and
        ``label``; the report, or what there is to say without labels.
    """
    rows: list[dict[str, Any]] = []
    predicted: list[int] = []
    labels: list[int] = []
    known = set(map(os.path.realpath, list_image_files(examples).paths)) if examples else set()
    for batch in items:
        classes, scores = (values.tolist() for values in classifier.predict(batch.embeds))
        for item_id, record, number, score in zip(batch.ids, batch.records, classes, scores):
            row = {name: record[name] for name in SHOWN if name in record}
            rows.append({'id': item_id, 'class': classifier.names[number], 'score': score, **row})
            wanted = labeled_class(classifier, item_id, record)
            if wanted is not None:
                rows[-1]['label'] = classifier.names[wanted]
                if os.path.realpath(str(record.get('img_path'))) not in known:
                    predicted.append(number)
                    labels.append(wanted)
    if not labels:
        return rows, f'{len(rows)} images classified; none has a label that is one of the classes'
    return rows, classifier.report(predicted, labels)


def labeled_class(
    classifier: SceneClassifier, item_id: str, record: Mapping[str, Any]
) -> int | None:
    """The class of an item by its label, else by the nearest folder that is called like one.

    Args:
        classifier (SceneClassifier): The classes.
        item_id (str): The name of the source, and the path below it.
        record (Mapping): Attributes of the item.

    Returns:
        int | None: Number of the class; None if nothing says it.
    """
    if record.get('label') is not None:
        return classifier.number_of(str(record['label']))
    if record.get('window') or not record.get('img_path'):
        return None
    # Folders above the source, such as the home of a user, say nothing.
    folders = (folder.name for folder in PurePosixPath(item_id.partition('/')[2]).parents)
    return next((n for n in map(classifier.number_of, folders) if n is not None), None)
