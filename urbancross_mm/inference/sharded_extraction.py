"""Run frozen encoders over millions of images: Parquet shards, made by many processes."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor
from tqdm import tqdm

from urbancross_mm.datasets.feature_shards import (
    NAMES,
    missing_shards,
    open_folder,
    shard_count,
    shard_path,
    write_shard,
)
from urbancross_mm.datasets.sharded_features import read_stamps
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.feature_extraction import (
    before_projection,
    config_items,
    encoders_of,
    feature_metadata,
)
from urbancross_mm.inference.image_files import EncodedFiles, ImageFiles
from urbancross_mm.utils.hashing import FileStamp, name_files
from urbancross_mm.utils.setup_env import LaunchedRank

SHARD_SIZE = 8192


class ExtractionSummary(NamedTuple):
    """How a run ended, on this process.

    Attributes:
        images: Rows of images written by this process.
        texts: Rows of captions written by this process.
        skipped: Images that could not be read, and were left out.
        missing: Shards that the folder still lacks; other processes may be at work on them.
        total: Shards of the folder when it is full.
    """

    images: int
    texts: int
    skipped: int
    missing: int
    total: int


class ShardedExtraction:
    """Writes what :func:`extract_features` writes, as a folder of Parquet shards.

    Process r of n makes the shards r, r + n, r + 2n, ... that are not there yet, one after another.
    The processes never wait for each other, and need no network between them. A shard comes whole
    or not at all, so a run that is killed loses the shards in work; the next one, on any number
    of processes, goes on. In memory there is one shard and what the workers have read ahead.

    Args:
        cfg (Config): As in :func:`extract_features`.
        embedder (Embedder): Of the same config.
        out (str | Path): The folder.
        shard_size (int): Images, or captions, of a shard. Defaults to 8192.
        skip_bad (bool): Leave out images that cannot be read. Defaults to False.
        force (bool): Replace what other weights, images or captions gave, and the shards of
            images that have changed. Defaults to False.
        process (LaunchedRank, optional): This one of several. Defaults to None: the only one.

    Raises:
        FileNotFoundError: If annotations or images are missing.
        ValueError: If the folder holds features of another run, or the model has other parts.
    """

    def __init__(
        self,
        cfg: Config,
        embedder: Embedder,
        out: str | Path,
        shard_size: int = SHARD_SIZE,
        skip_bad: bool = False,
        force: bool = False,
        process: LaunchedRank | None = None,
    ) -> None:
        if shard_size < 1:
            raise ValueError(f'shard_size must be at least 1, got {shard_size}')
        self.embedder = embedder
        self.out = Path(out)
        self.shard_size = shard_size
        self.skip_bad = skip_bad
        self.force = force
        self.process = process or LaunchedRank()
        self.image_encoder, self.text_encoder = encoders_of(embedder.model)
        images, self.captions = config_items(cfg)
        self.ids, self.paths = list(images), list(images.values())
        metadata = feature_metadata(cfg, embedder)
        self.plan = _plan(metadata, embedder, self.ids, self.captions, shard_size)
        self.metadata = dict(metadata, fingerprint=self.plan['fingerprint'])
        open_folder(out, self.plan, force)

    def run(self) -> ExtractionSummary:
        """Make the shards of this process.

        Returns:
            ExtractionSummary: What it has done.

        Raises:
            ValueError: If an image cannot be read and ``skip_bad`` is off.
        """
        images, skipped = self._write_images()
        texts = self._write_texts()
        missing = [len(missing_shards(self.out, kind, self.plan)) for kind in NAMES]
        total = [shard_count(kind, self.plan) for kind in NAMES]
        return ExtractionSummary(images, texts, skipped, sum(missing), sum(total))

    def _write_images(self) -> tuple[int, int]:
        """Returns how many were written and left out."""
        numbers = self._own(missing_shards(self.out, 'images', self.plan))
        if self.force:
            numbers = sorted({*numbers, *self._changed()})
        spans = [self._span(number, len(self.paths)) for number in numbers]
        written = 0
        for number, part in zip(numbers, self._encoded(spans)):
            names = [self.ids[position] for position in part.positions]
            self._write('images', number, names, part.embeds, part.stamps)
            written += len(names)
        return written, sum(map(len, spans)) - written

    def _write_texts(self) -> int:
        """Returns how many were written."""
        written = 0
        for number in self._own(missing_shards(self.out, 'texts', self.plan)):
            span = self._span(number, len(self.captions))
            some = self.captions[span.start : span.stop]
            rows = self.embedder.encode_texts(
                some, before_projection(self.text_encoder), progress=self.process.rank == 0
            )
            self._write('texts', number, some, rows)
            written += len(some)
        return written

    def _write(
        self,
        kind: str,
        number: int,
        names: Sequence[str],
        rows: Tensor,
        stamps: Sequence[FileStamp] = (),
    ) -> None:
        path = shard_path(self.out, kind, number)
        write_shard(path, kind, names, rows.numpy(), self.metadata, stamps)

    def _encoded(self, spans: Sequence[range]) -> Iterator[EncodedFiles]:
        """Encode the images of some shards in one go, and yield shard after shard."""
        order = [position for span in spans for position in span]
        paths = [self.paths[position] for position in order]
        files = ImageFiles(paths, self.embedder.pipeline, self.skip_bad)
        ends = np.cumsum([len(span) for span in spans]).tolist()
        parts: list[EncodedFiles] = []
        # A log file gets a line every ten seconds, a terminal ten a second.
        pause = 0.1 if sys.stderr.isatty() else 10
        hidden = self.process.rank > 0 or not order
        ranks = f' (rank 0 of {self.process.world_size})' if self.process.world_size > 1 else ''
        with tqdm(
            total=len(order),
            desc=f'encode images{ranks}',
            unit='image',
            disable=hidden,
            mininterval=pause,
        ) as bar:
            done = 0
            for part in self.embedder.stream(files, before_projection(self.image_encoder)):
                parts.append(part)
                done = min(done + self.embedder.batch_size, len(order))
                bar.update(done - bar.n)
                while ends and ends[0] <= done:
                    whole, parts = _cut(parts, ends.pop(0))
                    yield whole._replace(positions=[order[row] for row in whole.positions])

    def _changed(self) -> list[int]:
        """Shards of this process with an image that is another one now, or was left out."""
        missing = set(missing_shards(self.out, 'images', self.plan))
        changed = []
        for number in self._own(range(shard_count('images', self.plan))):
            span = self._span(number, len(self.paths))
            if number not in missing:
                stamps = read_stamps(shard_path(self.out, 'images', number))
                if len(stamps) < len(span) or any(
                    stamps[row].renewed(self.paths[position]) is None
                    for row, position in enumerate(span)
                ):
                    changed.append(number)
        return changed

    def _own(self, numbers: Iterable[int]) -> list[int]:
        """Those of some shards that are this process's to make."""
        rank, size, _ = self.process
        return [number for number in numbers if number % size == rank]

    def _span(self, number: int, total: int) -> range:
        start = number * self.shard_size
        return range(start, min(total, start + self.shard_size))


def _plan(
    metadata: dict[str, Any],
    embedder: Embedder,
    images: Sequence[str],
    captions: Sequence[str],
    shard_size: int,
) -> dict[str, Any]:
    """What the folder will hold. Where the files lie does not count: a dataset may be moved."""
    plan = dict(
        weights=metadata['weights'],
        pipeline=name_files(embedder.pipeline_cfg),
        images=len(images),
        texts=len(captions),
        items=_digest([*images, '', *captions]),
        shard_size=shard_size,
    )
    return dict(plan, fingerprint=_digest([json.dumps(plan, sort_keys=True, default=str)]))


def _cut(parts: list[EncodedFiles], end: int) -> tuple[EncodedFiles, list[EncodedFiles]]:
    """What was encoded before a position, and the rest."""
    positions = [position for part in parts for position in part.positions]
    stamps = [stamp for part in parts for stamp in part.stamps]
    rows = [part.embeds for part in parts if part.positions]
    embeds = torch.cat(rows) if rows else torch.empty(0, 0)
    size = sum(position < end for position in positions)
    first = EncodedFiles(positions[:size], embeds[:size].clone(), stamps[:size])
    rest = EncodedFiles(positions[size:], embeds[size:].clone(), stamps[size:])
    return first, [rest] if rest.positions else []


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode('utf-8', 'surrogatepass') + b'\0')
    return digest.hexdigest()
