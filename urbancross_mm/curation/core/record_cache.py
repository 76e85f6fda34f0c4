"""A cache of the records that are in no manifest any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from urbancross_mm.curation.core.records import FAILED, Manifest, Record


class RecordCache:
    """Earlier results of a stage, ``OUT/cache/records/<stage>.jsonl``.

    A manifest describes only the last run. The cache keeps the records of images that were not part
    of it, or that were made again with other options. They are found by their key, the hash of
    everything that they depend on.
    """

    def __init__(self, out: Path, stage: str) -> None:
        self._file = Manifest(out / 'cache' / 'records' / f'{stage}.jsonl')

    @cached_property
    def _records(self) -> dict[str, Record]:
        return {record.key: record for record in self._file.records()}

    def get(self, key: str) -> Record | None:
        """The last record with this key."""
        return self._records.get(key)

    def keep(self, records: Iterable[Record]) -> None:
        """Add records that are not yet here, except failed ones, which are tried again anyway."""
        new = [
            record
            for record in records
            if record.outcome.status != FAILED and self._records.get(record.key) != record
        ]
        if new:
            self._file.append(new)
            self._records.update((record.key, record) for record in new)


def cache_unused_manifests(out: Path, stages: Collection[str]) -> None:
    """Move manifests of stages that the config no longer has into the cache."""
    for path in sorted((out / 'manifest').glob('*.jsonl')):
        if path.stem not in stages and not path.name.startswith('.'):
            RecordCache(out, path.stem).keep(Manifest(path).read().values())
            path.unlink()
