"""Finding and reading what a dataset card is about."""

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
    """A dataset as it was read.

    Attributes:
        splits (list[Split]): Its sound items, by annotation file.
        metainfo (list[dict]): Of each file.
        manifests (dict[str, dict[str, Record]]): Records of each stage by image, in the order of
            the stages; empty without a curation.
        report (Report): Items that are not sound.
    """

    splits: list[Split]
    metainfo: list[dict[str, Any]]
    manifests: dict[str, dict[str, Record]] = field(default_factory=dict)
    report: Report = field(default_factory=Report)

    @property
    def whole(self) -> list[Split]:
        """Splits that make up the dataset; the finetune parts lie within them."""
        return [split for split in self.splits if split.name in WHOLE] or self.splits

    @property
    def captioned(self) -> bool:
        """Whether the dataset has captions at all."""
        return any(item['captions'] for split in self.splits for item in split.items)


def find_annotations(folder: str | Path) -> list[Path]:
    """Find the annotation files of the only dataset in a folder.

    Args:
        folder (str | Path): With ``annotations/<name>_<split>.json`` or ``.parquet``.

    Returns:
        list[Path]: In the order train, val, trainval, test, finetune, finetune_val.

    Raises:
        FileNotFoundError: If there is no such folder, or none in it.
        ValueError: If there are several datasets.
    """
    place = Path(folder) / 'annotations'
    if not place.is_dir():
        begun = (
            '; its curation has not come to the export, manifest/ and last_run.txt say why'
            if (Path(folder) / 'manifest').is_dir()
            else ''
        )
        raise FileNotFoundError(
            f'no folder {place}: a dataset is named by the folder above '
            f'annotations/, or by its annotation files{begun}'
        )
    found = {
        (name, split): path
        for split in SPLITS
        for suffix in SUFFIXES[::-1]
        for path in sorted(place.glob(f'*_{split}{suffix}'))
        if not path.name.startswith('.') and (name := path.stem.removesuffix(f'_{split}'))
    }
    # '<name>_finetune_val' also ends in '_val'.
    found = {
        (name, split): path
        for (name, split), path in found.items()
        if not (split == 'val' and name.endswith('_finetune'))
    }
    names = sorted({name for name, _ in found})
    if not names:
        raise FileNotFoundError(f'no annotations <name>_<split>.json or .parquet in {place}')
    if len(names) > 1:
        raise ValueError(f'{place} holds the datasets {", ".join(names)}: name the files of one')
    return [path for split in SPLITS for (_, one), path in found.items() if one == split]


def read_sources(paths: Sequence[str | Path], manifest: str | Path | None = None) -> Sources:
    """Read annotations and, if there is one, the record of their curation.

    Args:
        paths (Sequence): Annotation files.
        manifest (str | Path, optional): Folder of ``<stage>.jsonl``. Defaults to None.

    Returns:
        Sources: What was read.

    Raises:
        FileNotFoundError: If a file or the folder is missing.
        ValueError: If a file cannot be read at all, or holds nothing sound.
    """
    read = [(str(path), *read_annotations(str(path))) for path in paths]
    captioned = any(
        isinstance(item, dict) and item.get('captions') for _, _, items in read for item in items
    )
    report = Report()
    splits = [
        sound_split(path, metainfo, items, captioned, report) for path, metainfo, items in read
    ]
    if not any(split.items for split in splits):
        raise ValueError(f'no sound item in {", ".join(str(path) for path in paths)}')
    _rename_repeated(splits)
    return Sources(
        splits,
        [metainfo for _, metainfo, _ in read],
        read_manifests(manifest) if manifest is not None else {},
        report,
    )


def read_manifests(folder: str | Path) -> dict[str, dict[str, Record]]:
    """Read the records of every stage.

    Args:
        folder (str | Path): With ``<stage>.jsonl``.

    Returns:
        dict[str, dict[str, Record]]: By stage and image, stages in the order of the pipeline.

    Raises:
        FileNotFoundError: If there is no such folder, or no manifest in it.
        ValueError: If a manifest is damaged.
    """
    found = {path.stem: path for path in manifest_files(folder)}
    if not found:
        raise FileNotFoundError(f'no manifest <stage>.jsonl in {folder}')
    order = [stage for stage in STAGES if stage in found]
    manifests = {
        stage: Manifest(found[stage]).read()
        for stage in [*order, *(stage for stage in found if stage not in STAGES)]
    }
    for stage, records in manifests.items():
        for record in records.values():
            _check_numbers(record, f'{found[stage]}, image {record.image!r}')
    return manifests


def manifest_files(folder: str | Path) -> list[Path]:
    """Find the records of all stages.

    Args:
        folder (str | Path): ``manifest/`` of a dataset.

    Returns:
        list[Path]: Sorted; hidden files are none.
    """
    return sorted(path for path in Path(folder).glob('*.jsonl') if not path.name.startswith('.'))


def _check_numbers(record: Record, where: str) -> None:
    """What is drawn must be numbers."""
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
    """Two files may be the test sets of two countries."""
    counts = Counter(split.name for split in splits)
    for split in splits:
        if counts[split.name] > 1:
            split.name = Path(split.path).stem
