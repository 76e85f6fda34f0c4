"""What a dataset checks of its items: readable images, named segments, whole captions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from urbancross_mm.datasets.caption_lengths import remark_on_cut, remark_on_unknown
from urbancross_mm.datasets.transforms.audio import LoadAudio, LoadSpectrogramImage
from urbancross_mm.datasets.transforms.loading import LoadSegMap
from urbancross_mm.datasets.transforms.segments import LoadSegments

# A transform, the key that names its file, and what an item lacks without.
FILES_OF_TRANSFORMS = (
    (
        LoadSegments,
        'segments_path',
        'segment file, so the whole image is their segment; tools/dataset_converters/'
        'segment_folders.py and classical_segments.py make the files and, with --annotations, '
        'name them',
    ),
    (
        LoadSegMap,
        'seg_map_path',
        'class map, so none of their pixels has a class; tools/dataset_converters/seg_maps.py '
        'makes the maps and, with --annotations, names them',
    ),
)


def warn(message: str) -> None:
    """Log to the logger of the run."""
    print_log(message, 'current', logging.WARNING)


def warn_of_unreadable(
    problems: Mapping[str, str | None], ann_file: str, is_gallery: bool, kind: str = 'images'
) -> list[str]:
    """Warn of files that are left out, and list them; ``problems`` has all paths."""
    skipped = [path for path, problem in problems.items() if problem]
    if skipped:
        shown = '; '.join(str(problems[path]) for path in skipped[:3])
        size = len(problems) - len(skipped)
        gallery = f': the gallery shrinks to {size} images, its recall is not comparable'
        warn(
            f'skip_bad: {len(skipped)} of {len(problems)} {kind} of {ann_file} '
            f'are unreadable and left out{gallery if is_gallery else ""}. First: {shown}'
        )
    return skipped


def warn_of_lost_words(captions: Sequence[str], transforms: Iterable[Any], ann_file: str) -> None:
    """Warn when a tokenizer of the pipeline cuts captions or does not know their words."""
    for step in transforms:
        tokenizer = getattr(step, 'tokenizer', None)
        for remark_on in (remark_on_cut, remark_on_unknown):
            if remark := remark_on(captions, tokenizer, f'captions of {ann_file}'):
                warn(f'{type(step).__name__}: {remark}')


def warn_of_unnamed_files(
    infos: Iterable[Mapping[str, Any]], transforms: Iterable[Any], ann_file: str
) -> None:
    """Warn when a transform of the pipeline reads files that the annotations do not name."""
    steps = list(transforms)
    read = [row for row in FILES_OF_TRANSFORMS if any(isinstance(step, row[0]) for step in steps)]
    if not read:
        return
    without: Counter[str] = Counter()
    total = 0
    for info in infos:
        total += 1
        without.update(key for _, key, _ in read if key not in info)
    for transform, key, what in read:
        if without[key]:
            warn(
                f'{transform.__name__}: {without[key]} of {total} items of {ann_file} '
                f'name no {what}'
            )


def reads_audio(transforms: Iterable[Any]) -> bool:
    """Whether a transform of the pipeline reads recordings."""
    return any(isinstance(step, LoadAudio | LoadSpectrogramImage) for step in transforms)


def check_audio(
    infos: Iterable[Mapping[str, Any]], transforms: Iterable[Any], ann_file: str, required: bool
) -> None:
    """Refuse captions without a recording, or count them, when a transform reads recordings."""
    if not reads_audio(transforms):
        return
    total, silent = 0, []
    for info in infos:
        paths = info.get('caption_audio_paths') or [''] * len(info['captions'])
        own = [info['caption_index']] if 'caption_index' in info else range(len(info['captions']))
        total += len(own)
        silent += [info['img_id'] for k in own if not paths[k]]
    if silent:
        what = f'{len(silent)} of {total} captions of {ann_file} have no recording'
        if required:
            raise ValueError(
                f'{what}, the first one of {silent[0]}: make them (tools/misc/speak_captions.py), '
                'or give audio_required=False'
            )
        warn(what)


def check_whole(infos: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a subset, such as a fold, with only some captions of an image."""
    counts = Counter(info['img_id'] for info in infos)
    for info in infos:
        count, whole = counts[info['img_id']], len(info['captions'])
        if count < whole:
            raise ValueError(
                f'the subset takes {count} of {whole} captions of {info["img_id"]}, so folds '
                "would share images: use captions='sample', whose items are images"
            )
