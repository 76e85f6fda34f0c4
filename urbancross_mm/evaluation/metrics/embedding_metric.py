"""Collecting embeddings from every rank: what the metrics of this package share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor


class EmbeddingMetric(BaseMetric):
    """Base of metrics on embeddings; a subclass writes ``compute_metrics`` and names what it reads.

    A record in ``results`` holds ``img_id, domain, image_embeds`` (D,), ``text_ids`` and
    ``text_embeds`` (C, D), and the fields named in ``extra_fields``. A picture may occur several
    times (padding, one item a caption), so a subclass de-duplicates by ids.

    Args:
        collect_device (str): ``'cpu'`` or ``'gpu'``. Defaults to 'cpu'.
        prefix (str | None): First part of the names; None takes the class's own. Defaults to None.
        collect_dir (str | None): Folder shared by all ranks for collecting. Defaults to None.
    """

    extra_fields: tuple[str, ...] = ()

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None,
                 collect_dir: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what the metric needs of each sample.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): ``RetrievalDataSample.to_dict()`` of each picture, after
                ``predict``.

        Raises:
            KeyError: If the model left no embeddings in a sample.
            ValueError: If a sample has not one text embedding for each text id.
        """
        for sample in data_samples:
            for name in ('image_embeds', 'text_embeds'):
                if name not in sample:
                    raise KeyError(f'data sample {sample.get("img_id")!r} has no {name!r}: does '
                                   "the model's predict set it?")
            if len(sample['text_ids']) != len(sample['text_embeds']):
                raise ValueError(f'data sample {sample["img_id"]!r} has {len(sample["text_ids"])} '
                                 f'text ids but {len(sample["text_embeds"])} text embeddings')
            self.results.append(dict(
                {name: list(sample[name]) for name in self.extra_fields},
                img_id=sample['img_id'], domain=sample.get('domain') or '',
                image_embeds=_own(sample['image_embeds']),
                text_ids=list(sample['text_ids']), text_embeds=_own(sample['text_embeds'])))

    def evaluate(self, size: int) -> dict:
        """Collect from all ranks and compute; see :meth:`mmengine.evaluator.BaseMetric.evaluate`.

        Args:
            size (int): Not used. Cutting what padding added to the data set's length would drop
                samples where ranks hold different numbers; ids tell duplicates better.

        Returns:
            dict: Names and values, on every rank.
        """
        return super().evaluate(sys.maxsize)

    def in_order(self, results: list[dict]) -> list[dict]:
        """Sort records, so that the result is the same however they were spread over ranks.

        Args:
            results (list[dict]): Records of :meth:`process`.

        Returns:
            list[dict]: By ``img_id``.

        Raises:
            ValueError: If there is none.
        """
        if not results:
            raise ValueError(
                f'{type(self).__name__} collected no sample: is the data set empty?')
        return sorted(results, key=lambda result: result['img_id'])


def _own(embeds: Tensor) -> Tensor:
    # A copy: pickling a row of a batch would write the whole batch, once for every row.
    return embeds.detach().to(device='cpu', dtype=torch.float32, copy=True)
