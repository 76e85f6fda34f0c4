"""Images with captions that are streamed from tar files."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import IterableDataset, get_worker_info

from urbancross_mm.datasets.item_checks import warn
from urbancross_mm.datasets.shard_shares import pieces_of_worker, samples_per_rank
from urbancross_mm.datasets.web_shards import (
    IMAGE_KEYS,
    is_local,
    list_shards,
    metainfo_of,
    read_shard,
    shard_name,
    webdataset,
)
from urbancross_mm.registry import DATASETS, TRANSFORMS
from urbancross_mm.structures.annotation_schema import META_KEYS, check_items
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.text_files import parse_json

CAPTION_MODES = ('sample', 'all')
OPTIONAL_KEYS = ('label', 'lon', 'lat', 'geo_tags')
WORKERS = 1024


@DATASETS.register_module()
class WebImageTextDataset(IterableDataset):
    """Images and captions in WebDataset shards, for datasets that no folder should list.

    A sample of a shard is an image (``img``, or a suffix such as ``jpg`` or ``png``), a caption
    (``txt``, or ``caption`` or ``captions`` in ``json``) and, where known, fields of the
    annotation schema in ``json``: ``img_id``, ``domain``, ``label``, ``lon``, ``lat``,
    ``geo_tags``. The pipeline gets the item that :class:`ImageTextDataset` gives, with the content
    of the image in ``img_bytes``. There are no masks, class maps or recordings.

    It is a stream, so the loader has no sampler. Ranks and workers read different parts, see
    :func:`pieces_of_worker`: every rank has the same number of batches, and every sample comes once
    in an epoch but for fewer than there are ranks. Order of the shards and content of the buffer
    are a function of seed, epoch, rank and worker.

    Args:
        shards (str | Sequence[str]): See :func:`list_shards`.
        batch_size (int): That of the loader; a run sets it. Defaults to 1.
        data_root (str): Folder to which local shards are relative. Defaults to ''.
        index (str | None): See :func:`list_shards`. Defaults to None.
        captions (str): 'sample' draws one caption of an image at every load, 'all' is for
            validation and test. Defaults to 'sample'.
        shuffle (int): Samples in the buffer that each worker draws from; 0 keeps the order, of
            shards too. Defaults to 0.
        seed (int): Of the order. Defaults to 0.
        skip_bad (bool): Replace a sample that cannot be read by the one before, and log it,
            instead of failing. Defaults to False.
        domain (str | None): Overrides the domain of every item. Defaults to None.
        pipeline (Sequence): Transforms or their configs. Defaults to ().

    Raises:
        FileNotFoundError: If a shard is missing.
        ImportError: If webdataset is not installed.
        ValueError: If an option is wrong, or there are fewer samples than ranks.
    """

    def __init__(
        self,
        shards: str | Sequence[str],
        batch_size: int = 1,
        data_root: str = '',
        index: str | None = None,
        captions: str = 'sample',
        shuffle: int = 0,
        seed: int = 0,
        skip_bad: bool = False,
        domain: str | None = None,
        pipeline: Sequence[dict | Callable] = (),
    ) -> None:
        if captions not in CAPTION_MODES:
            raise ValueError(f'captions must be one of {CAPTION_MODES}, got {captions!r}')
        if shuffle < 0 or batch_size < 1:
            raise ValueError(
                'shuffle must be at least 0 and batch_size at least 1, '
                f'got {shuffle} and {batch_size}'
            )
        webdataset()  # said here rather than in a worker
        named = [shards] if isinstance(shards, str) else list(shards)
        self.shards = list_shards(
            [os.path.join(data_root, name) if is_local(name) else name for name in named], index
        )
        self.batch_size = batch_size
        self.captions = captions
        self.shuffle = shuffle
        self.seed = seed
        self.skip_bad = skip_bad
        self.domain = domain
        self.pipeline = Compose(
            [TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline]
        )
        # Of this process: a worker that is spawned knows of no other ranks.
        self.share = get_rank(), get_world_size()
        self.metainfo = {
            key: value
            for key, value in metainfo_of(os.path.dirname(self.shards[0].url), index).items()
            if key in META_KEYS
        }
        # Passes of each worker, in memory that forked workers share: it goes on counting where no
        # hook sets the epoch.
        self._epochs = torch.zeros(WORKERS, dtype=torch.int64).share_memory_()
        samples_per_rank(self.sizes, self.share[1])

    @property
    def sizes(self) -> list[int]:
        """list[int]: Samples of each shard."""
        return [shard.samples for shard in self.shards]

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return samples_per_rank(self.sizes, self.share[1])

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass; later ones count on.

        Args:
            epoch (int): From 0.
        """
        self._epochs.fill_(epoch)

    def __iter__(self) -> Iterator[Any]:
        """Items of one worker, in the order of this epoch."""
        info = get_worker_info()
        worker = (0, 1) if info is None else (info.id, info.num_workers)
        epoch = int(self._epochs[worker[0]])
        self._epochs[worker[0]] += 1
        order = list(range(len(self.shards)))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        samples = self._samples(worker, order)
        if self.shuffle:
            words = np.random.SeedSequence([self.seed, epoch, self.share[0], worker[0]])
            rng = random.Random(int(words.generate_state(1, np.uint64)[0]))
            samples = webdataset().filters.shuffle(self.shuffle, initial=self.shuffle, rng=rng)(
                samples
            )
        return self._loaded(samples)

    def _samples(self, worker: tuple[int, int], order: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Raw samples of a worker, as many as it must give; a damaged shard repeats its last."""
        last: dict[str, Any] | None = None
        for number, start, stop in pieces_of_worker(
            self.sizes, self.share, worker, self.batch_size, order
        ):
            read, shard = 0, self.shards[number]
            try:
                for last in read_shard(shard, start, stop):
                    last['__where__'] = f'{shard.url}/{last["__key__"]}'
                    yield last
                    read += 1
            except ValueError as error:
                if not self.skip_bad or last is None:
                    raise
                warn(f'skip_bad: {error}; {stop - start - read} samples are replaced')
                yield from [last] * (stop - start - read)

    def _loaded(self, samples: Iterator[dict[str, Any]]) -> Iterator[Any]:
        """Samples through the pipeline."""
        good: dict[str, Any] | None = None
        for sample in samples:
            try:
                data = self.pipeline(self.item_of(sample))
                good = sample
            except (ValueError, OSError) as error:
                if not self.skip_bad or good is None:
                    raise ValueError(
                        f'sample {sample["__where__"]} is damaged: {error}; skip_bad=True replaces '
                        'such samples'
                    ) from error
                warn(f'skip_bad: {error}; the sample before is loaded again')
                data = self.pipeline(self.item_of(good))
            if data is None:
                raise ValueError(f'a transform returned None for {sample["__where__"]}')
            yield data

    def item_of(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """An item, as a pipeline gets it, from a sample of a shard.

        Args:
            sample (Mapping): Of :func:`read_shard`, with ``__where__``.

        Returns:
            dict: The item. With ``captions='sample'`` this draws from numpy's global generator.

        Raises:
            ValueError: If it has no image or no caption, or a field is of another type.
        """
        where = sample['__where__']
        image = next((key for key in IMAGE_KEYS if key in sample), None)
        if image is None:
            there = ', '.join(key for key in sample if not key.startswith('__')) or 'nothing'
            raise ValueError(f'{where} has no image ({", ".join(IMAGE_KEYS)}), only {there}')
        item = _record(sample, where)
        check_items(
            [dict(item, img_path=f'{sample["__key__"]}.{image}')], where, self.captions != 'all'
        )
        captions = item['captions']
        text_ids = [stable_id(caption) for caption in captions]
        chosen = range(len(captions))
        if self.captions == 'sample':
            chosen = range(number := int(np.random.randint(len(captions))), number + 1)
        return dict(
            {key: item[key] for key in OPTIONAL_KEYS if item.get(key) is not None},
            img_id=item['img_id'],
            img_path=f'{where}.{image}',
            img_bytes=sample[image],
            domain=self.domain or item.get('domain') or self.metainfo.get('domain', ''),
            captions=captions,
            caption_ids=item.get('caption_ids')
            or [f'{item["img_id"]}#{number}' for number in range(len(captions))],
            caption_text_ids=text_ids,
            texts=[captions[number] for number in chosen],
            text_ids=[text_ids[number] for number in chosen],
            sample_idx=0,
        )


def _record(sample: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What JSON and text of a sample say, with an id and captions."""
    try:
        text = sample['txt'].decode('utf-8').strip() if 'txt' in sample else ''
        packed = sample['json'].decode('utf-8') if 'json' in sample else '{}'
    except UnicodeDecodeError as error:
        raise ValueError(f'{where} is not UTF-8: {error}') from error
    item = parse_json(packed, f'{where}.json')
    if not isinstance(item, dict):
        raise ValueError(f'{where}.json must be an object, got {item!r:.80}')
    named = item.get('captions') or ([item['caption']] if item.get('caption') else [])
    item['captions'] = named or ([text] if text else [])
    # Keys of many shards begin again at 0.
    item.setdefault(
        'img_id', f'{shard_name(sample["__url__"]).partition(".")[0]}/{sample["__key__"]}'
    )
    return item
