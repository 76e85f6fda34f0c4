"""The last stage of a curation: annotations, vocabulary and the published layout."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.curation.core.records import (
    DROPPED,
    ImageRecord,
    Manifest,
    Outcome,
    hash_of_records,
)
from urbancross_mm.curation.core.stage import CollectionStage, Workplace
from urbancross_mm.datasets.converters.urbancross import SPLITS
from urbancross_mm.datasets.converters.vocab import encode_vocabulary
from urbancross_mm.datasets.splits import split_hash
from urbancross_mm.registry import CURATION
from urbancross_mm.structures.annotation_schema import (
    Item,
    check_distinct_ids,
    counts_of,
    make_item,
)
from urbancross_mm.structures.annotations import encode_annotations
from urbancross_mm.utils.files import write_all

FORMATS = ('json', 'parquet')
# Who wrote the captions, in the name of the published file: a model, or rules.
WRITERS = ('instructblip', 'template')
# As in the published folders; what is not known of any image is left out.
OPTIONAL_COLUMNS = ('title_multi_objects', 'lon', 'lat')


@CURATION.register_module()
class ExportStage(CollectionStage):
    """Writes what training reads, ``OUT/annotations/<name>_<split>.json`` and
    ``<name>_vocab.json``, so that ``OUT`` is a ``data_root``.

    The metainfo names the stages with their options, models and seeds, and holds the hashes of the
    splits and of the manifests. An image without caption is dropped, unless none has one: then the
    annotations are those of a domain without captions. Files of an earlier run with this name that
    are no longer due are removed.

    With ``layout``, the published files lie in ``OUT`` too: ``<split>_list.txt`` and
    ``instructblip_generation_<name>_refine.csv``, its name in the release; captions that no model
    has written lie in ``template_generation_<name>_refine.csv``. Several of one image are joined
    by ``'; '``.

    Args:
        name (str): Of the dataset and its domain.
        format (str): Of the annotations, 'json' or 'parquet'. Defaults to 'json'.
        layout (bool): Write the published layout. Defaults to True.
        min_count (int): Words that the training captions use less often are ``<unk>`` in the
            vocabulary. Defaults to 5.

    Raises:
        ValueError: If the name is no file name or the format unknown.
    """

    name = 'export'
    reads = (
        'captions',
        'label',
        'focus',
        'around',
        'lon',
        'lat',
        'bounds',
        'score',
        'segments',
        'split',
        'finetune',
    )

    def __init__(
        self, name: str, format: str = 'json', layout: bool = True, min_count: int = 5
    ) -> None:
        if not re.fullmatch(r'[\w-][\w.-]*', name):
            raise ValueError(f'name must be of letters, digits and - _ ., got {name!r}')
        if format not in FORMATS or min_count < 1:
            raise ValueError(
                f'format must be one of {FORMATS} and min_count at least 1, got '
                f'{format!r} and {min_count}'
            )
        self.dataset, self.format, self.layout, self.min_count = name, format, layout, min_count
        self._remarks: list[str] = []

    def settings(self, place: Workplace) -> dict[str, Any]:
        """All options."""
        return dict(
            name=self.dataset, format=self.format, layout=self.layout, min_count=self.min_count
        )

    def decide(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Write the files.

        Raises:
            ValueError: If no image is left, one is in no split, or two have one id.
        """
        self._refuse(images)
        captioned = any(image.fields.get('captions') for image in images)
        items = {image.name: self._item(image) for image in images}
        check_distinct_ids(items.values(), place.out)
        kept = [image for image in images if items[image.name]['captions'] or not captioned]
        members = {
            split: names
            for split in SPLITS
            if (
                names := [
                    image.name
                    for image in kept
                    if split in (image.fields['split'], image.fields.get('finetune'))
                ]
            )
        }
        splits = {split: [items[name] for name in names] for split, names in members.items()}
        contents = self._annotations(splits, captioned, place)
        if self.layout:
            contents.update(self._layout(kept if captioned else [], members, place))
        write_all(contents)
        # A split that is no more must not be trained on.
        for path in set(self._files(place).values()) - set(contents):
            path.unlink(missing_ok=True)
        self._remarks = [f'{split}: {len(names)} images' for split, names in members.items()]
        kept_names = {image.name for image in kept}
        return [
            Outcome(dict(img_id=items[image.name]['img_id'], split=image.fields['split']))
            if image.name in kept_names
            else Outcome(status=DROPPED, reason='no caption')
            for image in images
        ]

    def summary(self, images: Sequence[ImageRecord], place: Workplace) -> list[str]:
        """Size of each split."""
        return self._remarks

    def _refuse(self, images: Sequence[ImageRecord]) -> None:
        if not images:
            raise ValueError(
                'no image is left to export: in the stages before, all were dropped or failed'
            )
        for image in images:
            if image.fields.get('split') not in SPLITS:
                raise ValueError(
                    f'{image.name} is in no split: SplitStage comes before ExportStage'
                )

    def _item(self, image: ImageRecord) -> Item:
        fields = {
            key: image.fields.get(key)
            for key in ('label', 'lon', 'lat', 'bounds', 'score', 'segments')
        }
        return make_item(
            self.dataset,
            self.dataset,
            image.name,
            image.fields.get('captions') or [],
            geo_tags=distinct_tags(image.fields) or None,
            **fields,
        )

    def _files(self, place: Workplace) -> dict[str, Path]:
        """Every file that this stage may have written, but for the vocabulary, by its use."""
        folder = place.out / 'annotations'
        return {
            **{
                f'{split}.{suffix}': folder / f'{self.dataset}_{split}.{suffix}'
                for split in SPLITS
                for suffix in FORMATS
            },
            'vocabulary': folder / f'{self.dataset}_vocab.json',
            **{
                writer: place.out / f'{writer}_generation_{self.dataset.lower()}_refine.csv'
                for writer in WRITERS
            },
            **{f'{split} list': place.out / f'{split}_list.txt' for split in SPLITS},
        }

    def _annotations(
        self, splits: Mapping[str, list[Item]], captioned: bool, place: Workplace
    ) -> dict[Path, bytes | str]:
        """Annotations and vocabulary, by file."""
        files, contents = self._files(place), {}
        stages, hashes = read_manifests(place.out / 'manifest', place.stages)
        split_hashes = {
            split: split_hash([item['img_id'] for item in items]) for split, items in splits.items()
        }
        for split, items in splits.items():
            path = files[f'{split}.{self.format}']
            contents[path] = encode_annotations(
                path,
                items,
                dict(
                    dataset=self.dataset,
                    domain=self.dataset,
                    split=split,
                    generator='curation',
                    seed=stages.get('split', {}).get('seed'),
                    stages=stages,
                    sources=hashes,
                    split_hashes=split_hashes,
                    counts=counts_of(items),
                ),
                captioned,
            )
        if captioned and 'train' in splits:
            contents[files['vocabulary']] = encode_vocabulary(
                [text for item in splits['train'] for text in item['captions']], self.min_count
            )
        return contents

    def _layout(
        self, images: Sequence[ImageRecord], members: Mapping[str, Sequence[str]], place: Workplace
    ) -> dict[Path, str]:
        """The published layout, by file."""
        files = self._files(place)
        contents = {
            files[f'{split} list']: ''.join(f'{name}\n' for name in names)
            for split, names in members.items()
        }
        if images:
            made_by, _ = read_manifests(place.out / 'manifest', place.stages)
            by_model = made_by.get('caption', {}).get('captioner') == 'TransformersCaptioner'
            contents[files[WRITERS[0 if by_model else 1]]] = captions_table(images)
        return contents


def distinct_tags(fields: Mapping[str, Any]) -> list[str]:
    """Distinct tags of an image, those of the focus first.

    Args:
        fields (Mapping): With ``focus`` and ``around``, if there are any.

    Returns:
        list[str]: ``key of value`` texts.
    """
    return list(dict.fromkeys([*(fields.get('focus') or ()), *(fields.get('around') or ())]))


def captions_table(images: Sequence[ImageRecord]) -> str:
    """The captions as a CSV in the published columns.

    Args:
        images (Sequence[ImageRecord]): With captions; ``title_multi_objects`` (the tags), ``lon``
            and ``lat`` are written if any image knows them.

    Returns:
        str: A header, and a row an image.
    """
    rows = [
        dict(
            image_name=image.name,
            description='; '.join(image.fields['captions']),
            title_multi_objects=_title(image.fields),
            lon=image.fields.get('lon'),
            lat=image.fields.get('lat'),
        )
        for image in images
    ]
    known = [
        column for column in OPTIONAL_COLUMNS if any(row[column] not in (None, '') for row in rows)
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, ['image_name', 'description', *known], extrasaction='ignore', lineterminator='\n'
    )
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def read_manifests(
    folder: Path, names: Collection[str] = ()
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Find out what made the images.

    Args:
        folder (Path): ``OUT/manifest``.
        names (Collection[str]): Stages of the run. Defaults to (): all that there are.

    Returns:
        tuple[dict, dict]: Type and options of every stage before the export, and hashes of their
        records. The keys in them do not count: they tell the age of the tiles, which a copy of
        them changes.
    """
    stages, hashes = {}, {}
    for path in sorted(folder.glob('*.jsonl')):
        if path.stem == ExportStage.name or (names and path.stem not in names):
            continue
        records = Manifest(path).records()
        hashes[f'manifest/{path.name}'] = hash_of_records(records)
        if records:
            stages[path.stem] = dict(records[0].made_by)
    return stages, hashes


def _title(fields: Mapping[str, Any]) -> str:
    """Tags as SkyScript writes them; its separators within a tag become spaces."""
    focus, around = (
        [re.sub(r'\s*[,;]\s*', ' ', tag) for tag in fields.get(key) or ()]
        for key in ('focus', 'around')
    )
    text = f'{", ".join(focus)};' if focus else ''
    return f'{text} surrounded by {", ".join(around)};'.strip() if around else text
