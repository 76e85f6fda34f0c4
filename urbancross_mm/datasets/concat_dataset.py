"""Several annotation files as one dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import mmengine.dataset
from mmengine.dataset import BaseDataset

from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.file_stamp import same_image


@DATASETS.register_module()
class ConcatDataset(mmengine.dataset.ConcatDataset):
    """mmengine's, whose members must not give one id to different images.

    Losses and metrics tell images by ``img_id``: two images of one id would be each other's
    positives in training, and one image in a test.

    Args:
        datasets (Sequence[BaseDataset | dict]): The members, see
            :class:`mmengine.dataset.ConcatDataset` for these and the other arguments.
        lazy_init (bool): Load the annotations later. Defaults to False.
        ignore_keys (str | list[str] | None): Metainfo in which members may differ; these are
            usually 'dataset', 'domain' and 'split'. Defaults to None.

    Raises:
        ValueError: If two members have an ``img_id`` in common that stands for different files.
    """

    def full_init(self) -> None:
        """Load the annotations of all members and compare their ids, once."""
        if not self._fully_initialized:
            super().full_init()
            check_unique_ids(self.datasets)


def check_unique_ids(datasets: Iterable[Any]) -> None:
    """Refuse datasets that give one ``img_id`` to different images.

    Args:
        datasets (Iterable): Datasets of one loader; wrappers and concatenations are looked into.

    Raises:
        ValueError: If there is one; the sentence names the files.
    """
    known: dict[str, tuple[str, str]] = {}
    clashes: dict[str, tuple[str, str]] = {}
    for dataset in (part for one in datasets for part in _parts(one)):
        mine = {}
        for place in range(len(dataset)):
            # Not the dataset's own: that one may draw a caption.
            info = BaseDataset.get_data_info(dataset, place)
            if 'img_id' in info:
                mine[info['img_id']] = info['img_path']
        for img_id, path in mine.items():
            other, source = known.setdefault(img_id, (path, dataset.ann_file))
            if not same_image(path, other):
                clashes[img_id] = f'{other} in {source}', f'{path} in {dataset.ann_file}'
    if clashes:
        (img_id, (first, second)), *_ = clashes.items()
        raise ValueError(
            f'{len(clashes)} ids stand for different images, such as {img_id!r}: for '
            f'{first}, and for {second}; give the datasets ids of their own (the '
            'converters put --name before them)'
        )


def _parts(dataset: Any) -> Iterator[BaseDataset]:
    """Datasets with annotations, inside wrappers."""
    inner = getattr(dataset, 'datasets', None)
    for part in inner or [getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from _parts(part)
    if isinstance(dataset, BaseDataset):
        yield dataset
