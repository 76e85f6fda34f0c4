"""Checking the recordings that annotations name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from urbancross_mm.datasets.verification.leakage import Split
from urbancross_mm.datasets.verification.report import Report
from urbancross_mm.utils.audio import measure_audio
from urbancross_mm.utils.image_files import has_image_suffix
from urbancross_mm.utils.images import probe_image
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.utils.progress import map_tracked

# Seconds and largest value; None for an image of a spectrogram, which has neither.
Measured = tuple[float, float] | None


def check_recordings(
    splits: Sequence[Split], root: str, report: Report, workers: int, decode: bool
) -> None:
    """Report recordings that are missing, broken or silent, and how long the others last.

    Args:
        splits (Sequence[Split]): The splits.
        root (str): Folder of the recordings.
        report (Report): Takes the findings.
        workers (int): Threads that decode.
        decode (bool): Decode to the end; else recordings are only looked for.
    """
    where = {
        name: f'{split.path} ({item["img_id"]})'
        for split in splits
        for item in split.items
        for name in item.get('audio_paths') or ()
        if name
    }

    def measure(name: str) -> Measured | str:
        path = safe_join(root, name)
        if not Path(path).is_file():
            return f'audio file not found: {path}'
        if not decode:
            return None
        try:
            return probe_image(path) if has_image_suffix(path) else measure_audio(path)
        except (OSError, ValueError) as error:
            return str(error)

    results = map_tracked(measure, list(where), 'recordings', workers)
    seconds: dict[str, float] = {}
    for name, result in zip(where, results):
        if isinstance(result, str):
            report.add('error', 'recording missing or broken', f'{where[name]}: {result}')
        elif result is not None:
            seconds[name], peak = result
            if not peak:
                report.add('warning', 'silent recordings', f'{where[name]}: {name}')
    for split in splits:
        _describe(split, seconds, report)


def recorded(split: Split) -> int:
    """Captions of a split that have a recording."""
    return sum(
        sum(map(bool, names)) if len(names) > 1 else len(item['captions']) * bool(names[0])
        for item in split.items
        if (names := item.get('audio_paths'))
    )


def _describe(split: Split, seconds: dict[str, float], report: Report) -> None:
    """How long the recordings last, and whether captions lack one where others do not."""
    captions = sum(len(item['captions']) for item in split.items)
    count = recorded(split)
    if 0 < count < captions:
        report.add(
            'warning',
            'captions without a recording, among others that have one',
            f'{split.name}: {captions - count} of {captions}',
        )
    names = {name for item in split.items for name in item.get('audio_paths') or ()}
    lasting = [seconds[name] for name in names if name in seconds]
    if lasting:
        report.add(
            'info',
            'how long recordings last',
            f'{split.name}: {len(lasting)} recordings, {sum(lasting) / 60:.1f} minutes in all, '
            f'{sum(lasting) / len(lasting):.2f} s on average, the longest {max(lasting):.2f} s',
        )
