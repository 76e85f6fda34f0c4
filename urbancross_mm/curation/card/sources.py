"""Reads the annotations and manifests of a dataset for its card."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urbancross_mm.curation.core.records import Manifest, Record
from urbancross_mm.datasets.verification.leakage import Split
from urbancross_mm.datasets.verification.report import Report
from urbancross_mm.datasets.verification.verify import sound_split
from urbancross_mm.structures.annotations import read_annotations

SPLITS = ('train', 'val', 'trainval', 'test', 'finetune', 'finetune_val')
WHOLE = ('train', 'val', 'test')
SUFFIXES = ('.json', '.parquet')
STAGES = (
    'tile',
    'tag',
    'caption',
    'refine',
    'deduplicate',
    'score',
    'filter',
    'segment',
    'split',
    'export',
)


@dataclass
class Sources:
    """Annotations and manifests of a dataset.

    Attributes:
        splits (list[Split]): Valid items of each annotation file.
        metainfo (list[dict]): Metainfo of each annotation file.
        manifests (dict[str, dict[str, Record]]): Records of each stage by image, in the order of
            the stages; empty without a curation.
        report (Report): Items that are not valid.
    """

    splits: list[Split]
    metainfo: list[dict[str, Any]]
    manifests: dict[str, dict[str, Record]] = field(default_factory=dict)
    report: Report = field(default_factory=Report)

    @property
    def whole(self) -> list[Split]:
        """The splits without the finetune parts, which are contained in them."""
        return [split for split in self.splits if split.name in WHOLE] or self.splits

    @property
    def captioned(self) -> bool:
        """Whether any image has a caption."""
        return any(item['captions'] for split in self.splits for item in split.items)


def find_annotations(folder: str | Path) -> list[Path]:
    """Find the annotation files of the dataset in a folder.

    Args:
        folder (str | Path): Folder with ``annotations/<name>_<split>.json`` or ``.parquet``.

    Returns:
        list[Path]: The files in the order train, val, trainval, test, finetune, finetune_val.

    Raises:
        FileNotFoundError: If there is no such folder or file.
        ValueError: If there are several datasets.
    """
    directory = Path(folder) / 'annotations'
    if not directory.is_dir():
        begun = (
            '; its curation did not reach the export, see manifest/ and last_run.txt'
            if (Path(folder) / 'manifest').is_dir()
            else ''
        )
        raise FileNotFoundError(
            f'no folder {directory}: give the folder above annotations/, or annotation files{begun}'
        )
    paths = {
        (name, split): path
        for split in SPLITS
        for suffix in SUFFIXES[::-1]
        for path in sorted(directory.glob(f'*_{split}{suffix}'))
        if not path.name.startswith('.') and (name := path.stem.removesuffix(f'_{split}'))
    }
    # '<name>_finetune_val' also ends in '_val'.
    paths = {
        (name, split): path
        for (name, split), path in paths.items()
        if not (split == 'val' and name.endswith('_finetune'))
    }
    names = sorted({name for name, _ in paths})
    if not names:
        raise FileNotFoundError(f'no annotations <name>_<split>.json or .parquet in {directory}')
    if len(names) > 1:
        raise ValueError(
            f'{directory} holds the datasets {", ".join(names)}: give the files of one of them'
        )
    return [path for split in SPLITS for (_, part), path in paths.items() if part == split]


def read_sources(paths: Sequence[str | Path], manifest: str | Path | None = None) -> Sources:
    """Read annotation files and the manifests of their curation, if given."""
    read = [(str(path), *read_annotations(str(path))) for path in paths]
    captioned = any(
        isinstance(item, dict) and item.get('captions') for _, _, items in read for item in items
    )
    report = Report()
    splits = [
        sound_split(path, metainfo, items, captioned, report) for path, metainfo, items in read
    ]
    if not any(split.items for split in splits):
        raise ValueError(f'no valid item in {", ".join(str(path) for path in paths)}')
    _rename_repeated(splits)
    return Sources(
        splits,
        [metainfo for _, metainfo, _ in read],
        read_manifests(manifest) if manifest is not None else {},
        report,
    )


def read_manifests(folder: str | Path) -> dict[str, dict[str, Record]]:
    """Records by stage and image, stages in the order of the pipeline."""
    files = {path.stem: path for path in manifest_files(folder)}
    if not files:
        raise FileNotFoundError(f'no manifest <stage>.jsonl in {folder}')
    order = [stage for stage in STAGES if stage in files]
    manifests = {
        stage: Manifest(files[stage]).read()
        for stage in [*order, *(stage for stage in files if stage not in STAGES)]
    }
    for stage, records in manifests.items():
        for record in records.values():
            _check_numbers(record, f'{files[stage]}, image {record.image!r}')
    return manifests


def manifest_files(folder: str | Path) -> list[Path]:
    """The manifest files in a folder, without hidden files."""
    return sorted(path for path in Path(folder).glob('*.jsonl') if not path.name.startswith('.'))


def _check_numbers(record: Record, where: str) -> None:
    """Check that the values for charts are numbers."""
    fields = record.outcome.fields
    scores = fields.get('segment_scores')
    if scores is not None and not isinstance(scores, list):
        raise ValueError(f"{where}: 'segment_scores' must be a list, got {scores!r:.80}")
    for key, values in (
        ('score', [fields.get('score')]),
        ('segment_scores', scores or []),
        ('num_segments', [fields.get('num_segments')]),
    ):
        for value in values:
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ValueError(f'{where}: {key!r} must be a finite number, got {value!r:.80}')


def _rename_repeated(splits: Sequence[Split]) -> None:
    """Name equal splits, such as the test sets of two countries, by their files."""
    counts = Counter(split.name for split in splits)
    for split in splits:
        if counts[split.name] > 1:
            split.name = Path(split.path).stem
