"""The "precomp" text files of RSICD, RSITMD, UCM and Sydney.

``*_caps.txt`` holds five captions per image, ``*_filename.txt`` its name once or five times;
``{train,val}_*_verify.txt`` is one published division of the training list.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from urbancross_mm.datasets.converters.options import DividedOptions
from urbancross_mm.datasets.converters.records import ItemBuilder, convert_splits, draw_val
from urbancross_mm.datasets.converters.sources import Problems, Source, hash_file
from urbancross_mm.utils.ids import IdRegister
from urbancross_mm.utils.paths import check_relative
from urbancross_mm.utils.text_files import read_lines

CAPTIONS = 5


@dataclass(kw_only=True)
class Options(DividedOptions):
    """What the command line decides; further fields in :class:`DividedOptions`.

    Attributes:
        root (Path): Folder of the text files, or the one above its ``precomp``.
        trainval (bool): Also write the whole training list as ``<name>_trainval``.
        audio (Path | None): Folder of the recordings; None converts without looking at them.
    """

    trainval: bool = False
    audio: Path | None = None


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Convert one precomp folder.

    Args:
        options (Options): See there.

    Returns:
        dict[str, dict[str, int]]: Counts of each split that was written.

    Raises:
        FileNotFoundError: If a file, image or recording is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If line counts do not match, a name leaves its folder or is listed twice, or
            no list names recordings where ``audio`` is given.
    """
    root = find_folder(options.root)
    problems = Problems(options.skip_bad)
    builder = ItemBuilder(options)
    train = read_split(root, 'train', problems)
    splits = {
        **divide(root, train, options, builder, problems),
        'test': read_split(root, 'test', problems),
    }
    _check_disjoint(splits)
    if builder.images:
        names = [source.name for sources in splits.values() for source in sources]
        builder.images.check_numbers(names)
    if options.trainval:
        splits['trainval'] = train
    if options.audio is not None:
        splits = _find_audio(splits, options.audio, options.only_present)
    return convert_splits(
        options,
        splits,
        builder,
        problems,
        dict(
            generator='precomp.py',
            split_rule=options.split,
            sources={path.name: hash_file(path) for path in sorted(root.glob('*.txt'))},
        ),
    )


def find_folder(root: Path) -> Path:
    """The folder of the text files: this one, or ``precomp`` in it."""
    for folder in (root, root / 'precomp'):
        if (folder / 'train_caps.txt').is_file():
            return folder
    raise FileNotFoundError(f'no train_caps.txt in {root} or {root / "precomp"}')


def read_split(root: Path, split: str, problems: Problems, tail: str = '') -> list[Source]:
    """Captions and names of one list. The published division has the ``tail`` ``_verify``."""
    caps, names = root / f'{split}_caps{tail}.txt', root / f'{split}_filename{tail}.txt'
    captions, files = read_lines(caps), read_lines(names)
    if len(captions) == CAPTIONS * len(files):
        starts = list(range(0, len(captions), CAPTIONS))
        lines = list(range(len(files)))
    elif len(files) == len(captions):
        # A new name starts a new image.
        starts = [n for n in range(len(files)) if n == 0 or files[n] != files[n - 1]]
        lines = starts
    else:
        raise ValueError(
            f'{caps} has {len(captions)} lines and {names} has {len(files)}: expected one name a '
            f'caption, or {CAPTIONS} captions a name'
        )
    audio = _read_audio(root, split, tail, len(captions))
    ends = [*starts[1:], len(captions)]
    odd = [line for line, start, end in zip(lines, starts, ends) if end - start != CAPTIONS]
    if odd:
        print(
            f'note: {len(odd)} of {len(lines)} images of {names} have another number of captions '
            f'than {CAPTIONS}, the first in line {odd[0] + 1}',
            file=sys.stderr,
        )
    return problems.check(
        Source(
            files[line],
            captions[start:end],
            f'{names}, line {line + 1}',
            audio and audio[start:end],
        )
        for line, start, end in zip(lines, starts, ends)
    )


def divide(
    root: Path,
    train: Sequence[Source],
    options: Options,
    builder: ItemBuilder,
    problems: Problems,
) -> dict[str, list[Source]]:
    """Divide the training list into train and val, by the rule ``options.split``."""
    if options.split == 'published':
        if not (root / 'val_filename_verify.txt').is_file():
            raise ValueError(
                f'{root} has no val_filename_verify.txt, so no published division '
                'into train and val: give --split stratified (or random)'
            )
        return {split: read_split(root, split, problems, '_verify') for split in ('train', 'val')}
    return draw_val(train, options, builder)


def _check_disjoint(splits: dict[str, list[Source]]) -> None:
    """Refuse an image that is in two splits."""
    names: IdRegister[str] = IdRegister()
    for source in (source for sources in splits.values() for source in sources):
        first = names.clash(source.name, source.where)
        if first is not None:
            raise ValueError(
                f'{source.where}: image {source.name!r} is also in another split ({first})'
            )


def _read_audio(root: Path, split: str, tail: str, lines: int) -> list[str] | None:
    """Names of the spoken captions, for which two spellings are published."""
    paths = [root / f'{split}_{word}{tail}.txt' for word in ('audio', 'audios')]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    audio = read_lines(path)
    if len(audio) != lines:
        raise ValueError(f'{path} has {len(audio)} lines for {lines} captions')
    return [check_relative(name, f'{path}, line {number}') for number, name in enumerate(audio, 1)]


def _find_audio(
    splits: dict[str, list[Source]], folder: Path, only_present: bool
) -> dict[str, list[Source]]:
    """Look for every recording; with ``only_present``, a caption may be without one."""
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder at {folder}')
    listed = {
        name: source.where
        for sources in splits.values()
        for source in sources
        for name in source.audio or ()
    }
    if not listed:
        raise ValueError(
            f'--audio {folder} has nothing to look for: no list *_audio.txt or *_audios.txt stands '
            'beside the captions'
        )
    missing = {name for name in listed if not (folder / name).is_file()}
    if missing and not only_present:
        first = next(name for name in listed if name in missing)
        raise FileNotFoundError(
            f'{len(missing)} of {len(listed)} recordings are not in {folder}, first {first!r} '
            f'({listed[first]}): give --only-present to leave missing ones out'
        )
    if missing:
        print(
            f'note: {len(missing)} of {len(listed)} recordings are missing in {folder}',
            file=sys.stderr,
        )

    def present(source: Source) -> Source:
        audio = source.audio and ['' if name in missing else name for name in source.audio]
        return replace(source, audio=audio)

    return {split: list(map(present, sources)) for split, sources in splits.items()}
