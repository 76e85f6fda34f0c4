"""Brings an index up to date with its sources, in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmengine.dist import all_gather_object, barrier, get_rank, get_world_size

from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.image_files import EncodedFiles
from urbancross_mm.inference.indexing.attributes import Table, join_attributes
from urbancross_mm.inference.indexing.base_source import BaseSource
from urbancross_mm.inference.indexing.duplicates import forget_duplicates_of, mark_duplicates
from urbancross_mm.inference.indexing.item_writer import ItemWriter, Row
from urbancross_mm.inference.indexing.plan import FileAttributes, Plan, make_plan
from urbancross_mm.inference.indexing.shards import merge_shards, open_main, target_of
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.inference.stores import BaseStore

# Items that are written at once, and lost at most by a kill.
BATCH = 256


@dataclass
class IndexSummary:
    """What a run did, in items.

    Attributes:
        added (int): New ones.
        updated (int): Their content or their attributes have changed.
        removed (int): Their files are gone.
        unchanged (int): Nothing had to be done.
        unreadable (int): Cannot be read; what the index has of them stays.
        empty (int): Windows of rasters without data.
        duplicates (int | None): Near-duplicates in the whole index; None if not looked for.
        total (int): In the whole index.
    """

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    unreadable: int = 0
    empty: int = 0
    duplicates: int | None = None
    total: int = 0

    def __str__(self) -> str:
        parts = [
            f'{getattr(self, name)} {name}'
            for name in ('added', 'updated', 'removed', 'unchanged', 'unreadable')
        ]
        if self.empty:
            parts.append(f'{self.empty} without data')
        if self.duplicates is not None:
            parts.append(f'{self.duplicates} near-duplicates')
        return f'{", ".join(parts)}; {self.total} items in the index'


class IndexBuilder:
    """Encodes what is new or has changed in some sources, and writes it to a store.

    Every batch is durable once it is written, so a run that is killed goes on where it was. Under
    torchrun each rank encodes its part. The index is the same on any number of ranks.

    Args:
        embedder (Embedder): The model.
        location (str): Of the store, see :func:`urbancross_mm.inference.stores.open_store`.
        skip_bad (bool): Leave out images that cannot be read, and keep what the index has of
            them. Defaults to False.
        duplicates_above (float, optional): Mark items whose cosine with an earlier one is at least
            this. Defaults to None: no marks are made or removed.
        batch (int): Items that are written at once. Defaults to 256.
        progress (bool): Show progress bars. Defaults to True.

    Raises:
        ValueError: If the model scores pairs, or a number is not possible.

    Examples:
        >>> builder = IndexBuilder(embedder, 'city.index')
        >>> print(builder.build(open_sources(['tiles/', 'city.tif'])))
    """

    def __init__(
        self,
        embedder: Embedder,
        location: str,
        skip_bad: bool = False,
        duplicates_above: float | None = None,
        batch: int = BATCH,
        progress: bool = True,
    ) -> None:
        check_comparable(embedder.model, 'an index')
        if duplicates_above is not None and not 0 < duplicates_above <= 1:
            raise ValueError(
                f'duplicates_above must be a cosine above 0, at most 1; got {duplicates_above}'
            )
        if batch < 1:
            raise ValueError(f'batch must be at least 1, got {batch}')
        self.embedder = embedder
        self.location = location
        self.skip_bad = skip_bad
        self.duplicates_above = duplicates_above
        self.batch = batch
        self.progress = progress and get_rank() == 0

    def build(self, sources: Sequence[BaseSource], attributes: Table | None = None) -> IndexSummary:
        """Add, update and remove what differs.

        Args:
            sources (Sequence[BaseSource]): Of :func:`open_sources`. Items of other sources stay.
            attributes (Mapping, optional): Free attributes by name of the image. Defaults to
                None: what the index has.

        Returns:
            IndexSummary: Of all ranks.

        Raises:
            ValueError: If an image cannot be read and ``skip_bad`` is off, the index belongs to
                another model, a source is not the one of the index, or an attribute fits no image.
            OSError: If the store cannot be written.
        """
        joined: Sequence[FileAttributes | None] = [None] * len(sources)
        if attributes is not None:
            joined = join_attributes(attributes, sources)
        for source in sources:
            source.check_model(self.embedder)
        total = IndexSummary()
        # Open to the end, so that no other run writes between two sources.
        with open_main(self.location, self.embedder.fingerprint) as store:
            for source, extra in zip(sources, joined):
                self._take(store, source, extra, total)
            self._finish(store, total)
        return total

    def _take(
        self,
        store: BaseStore,
        source: BaseSource,
        extra: FileAttributes | None,
        total: IndexSummary,
    ) -> None:
        """Bring one source up to date."""
        store.refresh()
        plan = make_plan(source, store, extra, self.progress)
        barrier()  # nobody writes before everybody has compared
        if get_rank() == 0:  # first, so that a run that is killed leaves no wrong mark
            forget_duplicates_of(store, [*map(source.id_of, plan.changed), *plan.vanished])
        barrier()  # others may change the same items of a database
        writer = ItemWriter(source, store, extra, set(plan.changed))
        unreadable = _gathered(self._encode(source, plan, writer))
        empty = _gathered(writer.empty)
        if get_rank() == 0:
            merge_shards(store, self.location, self.embedder.fingerprint)
            self._settle(plan, writer, empty)
        barrier()
        lost = {*unreadable, *empty}
        total.added += len(set(plan.new) - lost)
        total.updated += len(set(plan.changed) - lost) + len(plan.relabeled)
        total.removed += len(plan.vanished)
        total.unchanged += plan.unchanged
        total.unreadable += len(unreadable)
        total.empty += len(empty)

    def _encode(self, source: BaseSource, plan: Plan, writer: ItemWriter) -> list[int]:
        """Encode the part of this rank and write it; what could not be read comes back."""
        pending = plan.pending[get_rank() :: get_world_size()]
        if not pending:
            return []
        target = target_of(writer.store, self.location, self.embedder.fingerprint)
        waiting: list[Row] = []
        for part in self._tracked(source.encode(pending, self.embedder, self.skip_bad), pending):
            positions = [pending[row] for row in part.positions]
            waiting += map(Row, positions, part.embeds.numpy(), part.stamps)
            writer.empty += [pending[row] for row in part.empty]
            while len(waiting) >= self.batch:
                writer.write(waiting[: self.batch], target)
                waiting = waiting[self.batch :]
        writer.write(waiting, target)
        if target is not writer.store:
            target.close()
        return sorted(set(pending) - writer.written - set(writer.empty))

    def _settle(self, plan: Plan, writer: ItemWriter, empty: Sequence[int]) -> None:
        """What the first rank does alone: new attributes, and what is no longer there.

        What cannot be read stays as it was: a file may be written just now.
        """
        relabeled = list(plan.relabeled)
        for start in range(0, len(relabeled), self.batch):
            writer.relabel(relabeled[start : start + self.batch])
        gone = [*plan.vanished, *(writer.source.id_of(position) for position in empty)]
        for start in range(0, len(gone), self.batch):
            writer.store.delete(gone[start : start + self.batch])

    def _finish(self, store: BaseStore, total: IndexSummary) -> None:
        """Near-duplicates, and a store that is quick to search."""
        if get_rank() == 0:
            if self.duplicates_above is not None:
                total.duplicates = mark_duplicates(store, self.duplicates_above, self.progress)
            store.compact()
            total.total = len(store)
        barrier()

    def _tracked(
        self, parts: Iterator[EncodedFiles], pending: Sequence[int]
    ) -> Iterator[EncodedFiles]:
        """A progress bar over items, where parts have several."""
        from tqdm import tqdm

        pause = 0.1 if sys.stderr.isatty() else 10
        with tqdm(
            total=len(pending),
            desc='encode',
            unit='image',
            mininterval=pause,
            disable=not self.progress,
        ) as bar:
            for part in parts:
                yield part
                done = max((*part.positions, *part.empty, bar.n - 1)) + 1
                bar.update(done - bar.n)
            bar.update(len(pending) - bar.n)


def _gathered(positions: Sequence[int]) -> list[int]:
    """The positions of all ranks."""
    parts: list[Sequence[int]] = all_gather_object(positions)
    return sorted(position for part in parts for position in part)
