"""From listed images to the items of annotation files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from urbancross_mm.datasets.converters.images import ImageFolder, SidecarFiles, sibling
from urbancross_mm.datasets.converters.options import DividedOptions, Options, refuse_overwrite
from urbancross_mm.datasets.converters.sources import Problems, Source
from urbancross_mm.datasets.converters.vocab import encode_vocabulary
from urbancross_mm.datasets.splits import (
    random_split,
    split_hash,
    stratified_split,
    with_duplicates,
)
from urbancross_mm.structures.annotation_schema import (
    Item,
    check_distinct_ids,
    counts_of,
    make_item,
)
from urbancross_mm.structures.annotations import encode_annotations
from urbancross_mm.utils.files import write_all
from urbancross_mm.utils.paths import label_of
from urbancross_mm.utils.progress import track

VAL_FRACTION = 0.2


class ItemBuilder:
    """Turns sources into items, with the files that are on disk.

    Args:
        options (Options): See there.
        labels (bool): Take the scene class from the file name. Defaults to True.

    Raises:
        FileNotFoundError: If a folder was named that is not there.
    """

    def __init__(self, options: Options, labels: bool = True) -> None:
        self.options = options
        self.labels = labels
        self.images = ImageFolder(options.images) if options.images else None
        self.segments = SidecarFiles(sibling(options.images, 'segments', options.segments), '.json')
        self.seg_maps = SidecarFiles(sibling(options.images, 'seg_maps', options.seg_maps), '.png')
        self._sources: dict[str, Source] = {}

    def build(self, sources: Sequence[Source], split: str) -> tuple[list[Item], dict[str, int]]:
        """Build the items of one split, and count what is in them and what was left out."""
        items: list[Item] = []
        missing: list[Source] = []
        without, empty = 0, 0
        for source in track(sources, f'{self.options.name} {split}'):
            path = self.locate(source)
            if path is None:
                missing.append(source)
                continue
            self._refuse_shared(source, path)
            item = self._item(source, path)
            empty += len(source.captions) - len(item['captions'])
            without += not item['captions']
            items += [item] if item['captions'] else []
        self._refuse_missing(missing, len(sources))
        return items, counts_of(
            items,
            dropped_empty_captions=empty,
            dropped_missing_pictures=len(missing),
            dropped_pictures_without_caption=without,
        )

    def find(self, name: str) -> str | None:
        """Path of an image in the folder of images, None if it is not there.

        Without a folder of images, the name itself.
        """
        return name if self.images is None else self.images.find(name)

    def locate(self, source: Source) -> str | None:
        """As :meth:`find`, with file and line of the source in the error."""
        try:
            return self.find(source.name)
        except ValueError as error:
            raise ValueError(f'{source.where}: {error}') from error

    def note_unused(self) -> None:
        """Print how many images on disk no item built so far names."""
        names = self.images.names if self.images else []
        unused = [name for name in names if name not in self._sources]
        if unused:
            print(
                f'note: {len(unused)} of {len(names)} images in {self.options.images} have no '
                f'caption, first {unused[0]!r}',
                file=sys.stderr,
            )

    def duplicates(self, names: Iterable[str]) -> dict[str, str]:
        """Second names of one image file, see :meth:`ImageFolder.duplicates`."""
        return {} if self.images is None else self.images.duplicates(names)

    def label(self, source: Source) -> str | None:
        """Scene class of an image: the given one, else (with ``labels``) that of its path."""
        given = source.fields.get('label')
        if given or not self.labels:
            return given
        return label_of(self.locate(source) or source.name)

    def _item(self, source: Source, path: str) -> Item:
        fields = dict(
            source.fields,
            label=self.label(source),
            segments=self.segments.find(path),
            seg_map_path=self.seg_maps.find(path),
        )
        if source.audio is not None:
            fields['audio_paths'] = [
                name for name, text in zip(source.audio, source.captions) if text.strip()
            ]
        return make_item(self.options.name, self.options.name, path, source.captions, **fields)

    def _refuse_shared(self, source: Source, path: str) -> None:
        """Refuse two names that match one image, also in different splits."""
        first = self._sources.setdefault(path, source)
        if first.name != source.name:
            raise ValueError(
                f'{first.name!r} ({first.where}) and {source.name!r} ({source.where}) both match '
                f'the image {path}'
            )

    def _refuse_missing(self, missing: list[Source], total: int) -> None:
        if missing and not self.options.only_present:
            raise FileNotFoundError(
                f'{len(missing)} of {total} images are not in {self.options.images}, first '
                f'{missing[0].name!r} ({missing[0].where}): give --only-present to leave missing '
                'images out and count them'
            )


def convert_splits(
    options: Options,
    splits: Mapping[str, Sequence[Source]],
    builder: ItemBuilder,
    problems: Problems,
    metainfo: Mapping[str, Any],
) -> dict[str, dict[str, int]]:
    """Write the annotations of every split, and the vocabulary of the training captions.

    Everything is built and checked before the first file is written.

    Args:
        options (Options): See there.
        splits (Mapping): Sources of each split.
        builder (ItemBuilder): Makes the items.
        problems (Problems): Bad lines that were skipped.
        metainfo (Mapping): ``generator``, ``sources`` and what else is worth noting.

    Returns:
        dict[str, dict[str, int]]: Counts of each split.

    Raises:
        FileExistsError: If an output exists and ``force`` is off.
        FileNotFoundError: If an image is missing.
        ValueError: If a split would be empty, or two images have one id.
    """
    files = {split: options.out / f'{options.name}_{split}{options.suffix}' for split in splits}
    vocabulary = options.out / f'{options.name}_vocab.json'
    refuse_overwrite([*files.values(), vocabulary], options.force)
    built = {split: builder.build(sources, split) for split, sources in splits.items()}
    empty = [split for split, (items, _) in built.items() if not items]
    if empty:
        raise ValueError(f'{options.root} leaves no image for {" and ".join(empty)}')
    check_distinct_ids((item for items, _ in built.values() for item in items), options.root)
    hashes = {
        split: split_hash([item['img_id'] for item in items]) for split, (items, _) in built.items()
    }
    contents: dict[Any, bytes | str] = {}
    for split, (items, counts) in built.items():
        counts['skipped_bad_lines'] = len(problems.messages)
        contents[files[split]] = encode_annotations(
            files[split],
            items,
            dict(
                dataset=options.name,
                domain=options.name,
                split=split,
                seed=options.seed,
                **metainfo,
                split_hashes=hashes,
                counts=counts,
            ),
        )
    if 'train' in built:
        contents[vocabulary] = encode_vocabulary(
            [text for item in built['train'][0] for text in item['captions']], options.min_count
        )
    write_all(contents)
    builder.note_unused()
    return {split: counts for split, (_, counts) in built.items()}


def draw_val(
    train: Iterable[Source], options: DividedOptions, builder: ItemBuilder
) -> dict[str, list[Source]]:
    """Draw a fifth of the training list as val, by ``options.split``; copies stay together."""
    by_name = {source.name: source for source in train}
    fractions = dict(val=VAL_FRACTION)
    duplicates = builder.duplicates(by_name)
    distinct = {name: source for name, source in by_name.items() if name not in duplicates}
    if options.split == 'random':
        names = random_split(list(distinct), fractions, 'train', options.seed)
    else:
        labels = {name: builder.label(source) for name, source in distinct.items()}
        if not any(labels.values()):
            raise ValueError(
                f'no image of {options.root} has a class in its name: give --images, whose '
                'folders are classes, or --split random'
            )
        names = stratified_split(labels, fractions, 'train', options.seed)
    names = with_duplicates(names, duplicates)
    return {split: [by_name[name] for name in names[split]] for split in ('train', 'val')}
