"""Records that no manifest holds any more, for images that come again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from urbancross_mm.curation.core.records import FAILED, Manifest, Record


class RecordCache:
    """What a stage found out once, ``OUT/cache/records/<stage>.jsonl``.

    A manifest tells of the last run alone. An image that did not come in, because a filter was
    tighter or a run went wrong, and an image that another config has made again, leave their
    records here. The key of a record holds all that it depends on, so it is taken back by its key.

    Args:
        out (Path): ``--out``.
        stage (str): Name of the stage.
    """

    def __init__(self, out: Path, stage: str) -> None:
        self._file = Manifest(out / 'cache' / 'records' / f'{stage}.jsonl')

    @cached_property
    def _records(self) -> dict[str, Record]:
        return {record.key: record for record in self._file.records()}

    def get(self, key: str) -> Record | None:
        """Look up.

        Args:
            key (str): Of a record.

        Returns:
            Record | None: The last one with this key.
        """
        return self._records.get(key)

    def keep(self, records: Iterable[Record]) -> None:
        """Add what is not yet here.

        Args:
            records (Iterable[Record]): Failed ones are left out, for they are tried again anyway.

        Raises:
            OSError: If the disk is full.
        """
        new = [
            record
            for record in records
            if record.outcome.status != FAILED and self._records.get(record.key) != record
        ]
        if new:
            self._file.append(new)
            self._records.update((record.key, record) for record in new)


def put_aside(out: Path, stages: Collection[str]) -> None:
    """Move the manifests of other stages into the cache: they have no part in the dataset.

    Args:
        out (Path): ``--out``.
        stages (Collection[str]): Names of the stages of the config.
    """
    for path in sorted((out / 'manifest').glob('*.jsonl')):
        if path.stem not in stages and not path.name.startswith('.'):
            RecordCache(out, path.stem).keep(Manifest(path).read().values())
            path.unlink()
