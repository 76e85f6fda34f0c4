"""Segmentation of images that have a class map, whatever else is in the test set."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.registry import METRICS
from urbancross_mm.structures.class_maps import IGNORE_INDEX
from urbancross_mm.utils.ids import check_image_ids


@METRICS.register_module()
class SegmentationMetric(BaseMetric):
    """mmseg's ``IoUMetric`` and what it lacks, in percent with two decimals.

    - ``mIoU``, ``aAcc``, ``mAcc``: those of ``mmseg.IoUMetric``, whose table of the classes stands
      in the log.
    - ``FWIoU``: the IoU of the classes, weighted by their labeled pixels.
    - ``mF1``: the mean F1 of the classes. One that is predicted but never labeled counts 0; one in
      neither is left out.

    Images without a class map, or without a pixel of a class, add nothing. An image that comes
    twice, as padding does, counts once. Where the dataset names no classes, they are numbered.

    Args:
        ignore_index (int): Label of pixels without a class. Defaults to 255.
        **kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.

    Examples:
        In a config: ``val_evaluator = [dict(type='RecallAtK'), dict(type='SegmentationMetric')]``;
        then ``save_best='segmentation/mIoU', rule='greater'`` in the checkpoint hook.
    """

    default_prefix = 'segmentation'

    def __init__(self, ignore_index: int = IGNORE_INDEX, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        # Without a prefix it warns; its keys are never read with one.
        self._iou = METRICS.build(
            dict(type='mmseg.IoUMetric', ignore_index=ignore_index, prefix=self.default_prefix)
        )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each image.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): ``RetrievalDataSample.to_dict()`` of each image, after
                ``predict``.

        Raises:
            KeyError: If the model left no prediction for an image with a class map.
            ValueError: If a label or a prediction is of no class.
        """
        for sample in data_samples:
            # Kept without counts, too: a rank without a class map is no empty rank.
            self.results.append(
                dict(
                    img_id=sample['img_id'],
                    img_path=sample.get('img_path'),
                    areas=self._areas(sample) if self._is_labeled(sample) else None,
                )
            )

    def evaluate(self, size: int) -> dict:
        """Collect from all ranks and compute; see :meth:`mmengine.evaluator.BaseMetric.evaluate`.

        Args:
            size (int): Not used: ids tell what padding added.

        Returns:
            dict: Names and values, on every rank.
        """
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score everything that was counted.

        Args:
            results (list[dict]): Records of :meth:`process`, duplicates among them.

        Returns:
            dict[str, float]: The scores; none, and a warning, if no image has a class map.

        Raises:
            ValueError: If an id belongs to two images.
        """
        check_image_ids((result['img_id'], result['img_path']) for result in results)
        images = {result['img_id']: result['areas'] for result in results}
        areas = [areas for areas in images.values() if areas is not None]
        if not areas:
            print_log(
                f'SegmentationMetric: none of {len(images)} images has a class map with a pixel of '
                'a class, so nothing is scored',
                logger='current',
                level=logging.WARNING,
            )
            return {}
        # In float64: mmseg counts in float32, which is exact up to 2 ** 24 pixels.
        totals = torch.stack(areas).double().sum(dim=0)
        names = self._names or [f'class {k}' for k in range(1 + int(totals[1].nonzero().max()))]
        totals = totals[:, : len(names)]
        self._iou.dataset_meta = dict(classes=names)
        scores = dict(self._iou.compute_metrics([tuple(totals)]), **_other_scores(totals))
        return {name: round(float(value), 2) for name, value in scores.items()}

    @property
    def _names(self) -> list[str]:
        """Names of the classes, or none."""
        return list((self.dataset_meta or {}).get('classes') or ())

    def _is_labeled(self, sample: dict) -> bool:
        labels = sample.get('gt_sem_seg')
        return labels is not None and bool((labels['data'] != self.ignore_index).any())

    def _areas(self, sample: dict) -> Tensor:
        """Pixels of each class: intersection, union, predicted, labeled, ``(4, num_classes)``."""
        if 'pred_sem_seg' not in sample:
            raise KeyError(
                f'data sample {sample["img_id"]!r} has a class map but no pred_sem_seg: does the '
                'model have a decode head? If not, remove SegmentationMetric'
            )
        count = len(self._names) or IGNORE_INDEX
        labels, predicted = (sample[key]['data'] for key in ('gt_sem_seg', 'pred_sem_seg'))
        for what, values in (
            ('label', labels[labels != self.ignore_index]),
            ('prediction', predicted),
        ):
            if int(values.max()) >= count:
                raise ValueError(
                    f'a {what} of {sample["img_id"]!r} is {int(values.max())}, but the dataset has '
                    f'{count} classes: {self._names}'
                )
        self._iou.dataset_meta = dict(classes=range(count))
        self._iou.process(None, [sample])
        return torch.stack(self._iou.results.pop())


def _other_scores(totals: Tensor) -> dict[str, float]:
    intersection, union, predicted, labeled = totals
    occurring = union > 0
    iou = intersection[occurring] / union[occurring]
    f1 = 2 * intersection[occurring] / (predicted + labeled)[occurring]
    weights = labeled[occurring] / labeled.sum()
    return dict(FWIoU=100 * float((weights * iou).sum()), mF1=100 * float(f1.mean()))
