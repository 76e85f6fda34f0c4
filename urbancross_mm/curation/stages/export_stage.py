"""The last stage: annotations, vocabulary and the published layout."""

from __future__ import annotations

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
from urbancross_mm.curation.core.stage import CollectionStage, Workspace
from urbancross_mm.curation.stages.published_layout import captions_table
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
Contents = dict[str | Path, bytes | str]
# Author of the captions in the name of the published file: a model or templates.
WRITERS = ('instructblip', 'template')


@CURATION.register_module()
class ExportStage(CollectionStage):
    """Writes annotations and vocabulary, so that ``OUT`` is a ``data_root`` for training.

    The files are ``OUT/annotations/<name>_<split>.json`` and ``<name>_vocab.json``. Their metainfo
    has the stages with their options, models and seeds, and hashes of the splits and manifests. An
    image without caption is dropped, unless no image has one: then the dataset is a domain without
    captions. Old files with this name that are not written again are removed.

    With ``layout``, ``OUT`` also has the files of the published folders: ``<split>_list.txt`` and
    ``instructblip_generation_<name>_refine.csv``, or ``template_generation_<name>_refine.csv`` if
    no model wrote the captions. Several captions of an image are joined by ``'; '``.

    Args:
        name (str): Name of the dataset and its domain.
        format (str): Format of the annotations, 'json' or 'parquet'. Defaults to 'json'.
        layout (bool): Also write the published layout. Defaults to True.
        min_count (int): Words that are rarer in the training captions become ``<unk>`` in the
            vocabulary. Defaults to 5.

    Raises:
        ValueError: If the name is not a file name or the format unknown.
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
            raise ValueError(f'name must consist of letters, digits and - _ ., got {name!r}')
        if format not in FORMATS or min_count < 1:
            raise ValueError(
                f'format must be one of {FORMATS} and min_count at least 1, got '
                f'{format!r} and {min_count}'
            )
        self.dataset, self.format, self.layout, self.min_count = name, format, layout, min_count
        self._remarks: list[str] = []

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """All options."""
        return dict(
            name=self.dataset, format=self.format, layout=self.layout, min_count=self.min_count
        )

    def decide(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Write the files."""
        self._check(images)
        captioned = any(image.fields.get('captions') for image in images)
        items = {image.name: self._item(image) for image in images}
        check_distinct_ids(items.values(), workspace.out)
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
        contents = self._annotations(splits, captioned, workspace)
        if self.layout:
            contents.update(self._layout(kept if captioned else [], members, workspace))
        write_all(contents)
        # Nobody should train on a split that no longer exists.
        for path in set(self._files(workspace).values()) - set(contents):
            path.unlink(missing_ok=True)
        self._remarks = [f'{split}: {len(names)} images' for split, names in members.items()]
        kept_names = {image.name for image in kept}
        return [
            Outcome(dict(img_id=items[image.name]['img_id'], split=image.fields['split']))
            if image.name in kept_names
            else Outcome(status=DROPPED, reason='no caption')
            for image in images
        ]

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """Size of each split."""
        return self._remarks

    def _check(self, images: Sequence[ImageRecord]) -> None:
        if not images:
            raise ValueError('no image is left to export: the stages before dropped all or failed')
        for image in images:
            if image.fields.get('split') not in SPLITS:
                raise ValueError(
                    f'{image.name} is in no split: put a SplitStage before ExportStage'
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

    def _files(self, workspace: Workspace) -> dict[str, Path]:
        """Every file that this stage may write, by its use."""
        folder = workspace.out / 'annotations'
        return {
            **{
                f'{split}.{suffix}': folder / f'{self.dataset}_{split}.{suffix}'
                for split in SPLITS
                for suffix in FORMATS
            },
            'vocabulary': folder / f'{self.dataset}_vocab.json',
            **{
                writer: workspace.out / f'{writer}_generation_{self.dataset.lower()}_refine.csv'
                for writer in WRITERS
            },
            **{f'{split} list': workspace.out / f'{split}_list.txt' for split in SPLITS},
        }

    def _annotations(
        self, splits: Mapping[str, list[Item]], captioned: bool, workspace: Workspace
    ) -> Contents:
        """Annotations and vocabulary, by file."""
        files = self._files(workspace)
        contents: Contents = {}
        stages, hashes = read_manifests(workspace.out / 'manifest', workspace.stages)
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
        self,
        images: Sequence[ImageRecord],
        members: Mapping[str, Sequence[str]],
        workspace: Workspace,
    ) -> Contents:
        """The published layout, by file."""
        files = self._files(workspace)
        contents: Contents = {
            files[f'{split} list']: ''.join(f'{name}\n' for name in names)
            for split, names in members.items()
        }
        if images:
            made_by, _ = read_manifests(workspace.out / 'manifest', workspace.stages)
            by_model = made_by.get('caption', {}).get('captioner') == 'TransformersCaptioner'
            contents[files[WRITERS[0 if by_model else 1]]] = captions_table(images)
        return contents


def distinct_tags(fields: Mapping[str, Any]) -> list[str]:
    """Distinct tags of an image, focus first."""
    return list(dict.fromkeys([*(fields.get('focus') or ()), *(fields.get('around') or ())]))


def read_manifests(
    folder: Path, names: Collection[str] = ()
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Type and options of every stage before the export, and hashes of their records."""
    stages, hashes = {}, {}
    for path in sorted(folder.glob('*.jsonl')):
        if path.stem == ExportStage.name or (names and path.stem not in names):
            continue
        records = Manifest(path).records()
        hashes[f'manifest/{path.name}'] = hash_of_records(records)
        if records:
            stages[path.stem] = dict(records[0].made_by)
    return stages, hashes
