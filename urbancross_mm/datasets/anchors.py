"""A few labels of a target: a table of images, each with a caption or a class."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.logging import print_log

from urbancross_mm.functional.groups import named_groups
from urbancross_mm.structures.annotations import read_annotations
from urbancross_mm.utils.text_files import read_text

if TYPE_CHECKING:
    import pandas as pd

Labels = dict[str, list[str]]
# Captions that a class stands for at most; every batch compares them with its texts.
MOST_CAPTIONS = 256


def read_anchors(
    path: str | Path,
    images: Mapping[str, str],
    texts: Sequence[str],
    held_out: Mapping[str, str] | None = None,
) -> Labels:
    """Read ``anchors.csv``: the columns ``image`` and ``caption`` or ``class``.

    A row without caption and class is left out, and logged. A caption need not be one of the
    target. A class means every caption of the target that says it, whole and in any case. A row
    with both means its caption. An image may have several rows.

    Args:
        path (str | Path): The CSV file.
        images (Mapping[str, str]): Path below the folder of images of each training image, by id.
            A row names the id, the path, or the file name.
        texts (Sequence[str]): Captions of the target.
        held_out (Mapping[str, str], optional): File that tests on an image, by what the image
            may be called. Defaults to None.

    Returns:
        dict[str, list[str]]: Captions of each labeled image, by id.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, no row is filled in, an image is unknown or tested on,
            a file name is that of several images, or no caption says a class.
    """
    table = _table(path)
    names = _names(images)
    pool = sorted(set(texts))
    of_class: dict[str, list[str]] = {}
    labels: Labels = {}
    empty = 0
    for number, (image, caption, word) in enumerate(table.itertuples(index=False), 1):
        if not caption and not word:
            empty += 1
            continue
        row = f'row {number} of {path}'
        img_id = _find(image, names, held_out or {}, row)
        if not caption and word not in of_class:
            of_class[word] = _captions_of_class(word, pool, row)
        known = labels.setdefault(img_id, [])
        found = [caption] if caption else of_class[word]
        known += [one for one in found if one not in known]
    if not labels:
        raise ValueError(f'{path} labels no image: fill in caption or class of some rows')
    left_out = f'; {empty} rows without a label are left out' if empty else ''
    print_log(f'{path} labels {len(labels)} images{left_out}', 'current')
    return labels


def held_out_images(ann_file: str | Path) -> dict[str, str]:
    """Images that the splits beside ``<name>_train`` hold, where there are such files.

    Args:
        ann_file (str | Path): The annotation file of the training images.

    Returns:
        dict[str, str]: Path of the annotation file, by id, path and file name of the image.
    """
    own = Path(ann_file)
    held: dict[str, str] = {}
    for split in ('val', 'test'):
        path = own.with_name(own.name.replace('_train.', f'_{split}.'))
        if path != own and path.is_file():
            _, items = read_annotations(str(path))
            names = _names({item['img_id']: item['img_path'] for item in items})
            held.update(dict.fromkeys(names, str(path)))
    return held


def _table(path: str | Path) -> pd.DataFrame:
    """Image, caption and class of each row, without white space at their ends."""
    import pandas as pd

    try:
        table = pd.read_csv(io.StringIO(read_text(path)), dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        raise ValueError(f'{path} is empty: give it the columns image and caption') from None
    except pd.errors.ParserError as error:
        raise ValueError(
            f'{path} is no table ({error}): put captions that hold a comma in quotes'
        ) from error
    table.columns = table.columns.str.strip()
    if 'image' not in table or not {'caption', 'class'} & set(table.columns):
        raise ValueError(
            f'{path} needs a column image and a column caption or class, separated by commas; '
            f'it has {", ".join(map(repr, table.columns))}'
        )
    # Its order is that of the loop in read_anchors.
    table = table.reindex(columns=['image', 'caption', 'class'], fill_value='')
    return table.apply(lambda column: column.str.strip())


def _names(images: Mapping[str, str]) -> dict[str, set[str]]:
    """Ids of the images that an id, a path or a file name may mean."""
    names: dict[str, set[str]] = {}
    for img_id, img_path in images.items():
        for name in {img_path, Path(img_path).name}:
            names.setdefault(name, set()).add(img_id)
    # An id means its image, also where another file has this name.
    return names | {img_id: {img_id} for img_id in images}


def _find(image: str, names: Mapping[str, set[str]], held_out: Mapping[str, str], row: str) -> str:
    """The id of an image of the training split."""
    found = names.get(image, set())
    if len(found) > 1:
        raise ValueError(
            f'{row}: {image!r} is the name of {len(found)} images, {", ".join(sorted(found))}: '
            'name the id or the path'
        )
    tested = held_out.get(next(iter(found), image))
    if tested:
        raise ValueError(
            f'{row} labels {image!r}, which {tested} tests on: label images of the training split'
        )
    if not found:
        close = difflib.get_close_matches(image, names, n=1)
        hint = f'; did you mean {close[0]!r}' if close else ''
        raise ValueError(f'{row}: no training image of the target is called {image!r}{hint}')
    return next(iter(found))


def _captions_of_class(word: str, pool: Sequence[str], row: str) -> list[str]:
    """Captions that say a class, evenly spread if there are many."""
    try:
        found = named_groups(pool, [word])
    except ValueError:
        raise ValueError(
            f'{row}: no caption of the target says the class {word!r}: write it as the captions do'
        ) from None
    rows = (found == 0).nonzero()[:, 0]
    step = -(-len(rows) // MOST_CAPTIONS)
    return [pool[index] for index in rows[::step].tolist()]
