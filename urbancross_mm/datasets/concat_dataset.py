"""Several annotation files as one dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import mmengine.dataset
from mmengine.dataset import BaseDataset

from urbancross_mm.datasets.transforms.loading import LoadSegMap
from urbancross_mm.registry import DATASETS
from urbancross_mm.structures.class_maps import CLASS_KEYS
from urbancross_mm.utils.hashing import same_image
from urbancross_mm.utils.ids import IdRegister


@DATASETS.register_module()
class ConcatDataset(mmengine.dataset.ConcatDataset):
    """mmengine's ConcatDataset, which also refuses one id for different images.

    Losses and metrics tell images apart by ``img_id``. Two images with one id would be each other's
    positives in training, and one image in a test.

    Members that load class maps must have the same ``classes``, in the same order; those of the
    others do not matter. Members may differ in their ``modality``.

    Args:
        datasets (Sequence[BaseDataset | dict]): The members, see
            :class:`mmengine.dataset.ConcatDataset` for these and the other arguments.
        lazy_init (bool): Load the annotations later. Defaults to False.
        ignore_keys (str | list[str] | None): Metainfo in which members may differ; these are
            usually 'dataset', 'domain' and 'split'. Defaults to None.

    Raises:
        ValueError: If two members have an ``img_id`` in common that stands for different files, or
            name different classes.
    """

    def __init__(
        self,
        datasets: Sequence[BaseDataset | dict],
        lazy_init: bool = False,
        ignore_keys: str | list[str] | None = None,
    ) -> None:
        ignored = [ignore_keys] if isinstance(ignore_keys, str) else ignore_keys or []
        super().__init__(datasets, lazy_init, [*ignored, *CLASS_KEYS, 'modality'])

    def full_init(self) -> None:
        """Load the annotations of all members and compare their ids and classes, once."""
        if not self._fully_initialized:
            super().full_init()
            check_unique_ids(self.datasets)
            self._metainfo.update(_common_classes(self.datasets))


def check_unique_ids(datasets: Iterable[Any]) -> None:
    """Refuse datasets that give one ``img_id`` to different images.

    Args:
        datasets (Iterable): Datasets of one loader; wrappers and concatenations are looked into.

    Raises:
        ValueError: If there is one; the message names the files.
    """
    register: IdRegister[tuple[str, str]] = IdRegister(
        lambda first, second: same_image(first[0], second[0])
    )
    clashes = {}
    for dataset in (part for member in datasets for part in _parts(member)):
        for index in range(len(dataset)):
            # Not the dataset's own: that one may draw a caption.
            info = BaseDataset.get_data_info(dataset, index)
            if 'img_id' not in info:
                continue
            image = info['img_path'], dataset.ann_file
            known = register.clash(info['img_id'], image)
            if known is not None:
                clashes[info['img_id']] = known, image
    if clashes:
        img_id, images = next(iter(clashes.items()))
        first, second = (f'{path} in {ann_file}' for path, ann_file in images)
        raise ValueError(
            f'{len(clashes)} ids stand for different images, such as {img_id!r}: for {first}, and '
            f'for {second}; give each dataset ids of its own (the converters put --name before '
            'them)'
        )


def _common_classes(datasets: Iterable[BaseDataset]) -> dict[str, Any]:
    """Classes, and their palette, of the members that load class maps."""
    first: BaseDataset | None = None
    for dataset in datasets:
        classes = dataset.metainfo.get('classes')
        steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
        if classes is None or not any(isinstance(step, LoadSegMap) for step in steps):
            continue
        if first is None:
            first = dataset
        if list(classes) != list(first.metainfo['classes']):
            files = ' and '.join(
                f'{list(one.metainfo["classes"])} in {getattr(one, "ann_file", type(one).__name__)}'
                for one in (first, dataset)
            )
            raise ValueError(
                f'members of one dataset name different classes: {files}; bring their class maps '
                'to one list of classes'
            )
    metainfo = {} if first is None else first.metainfo
    return {key: metainfo[key] for key in CLASS_KEYS if key in metainfo}


def _parts(dataset: Any) -> Iterator[BaseDataset]:
    """Datasets with annotations, inside wrappers."""
    inner = getattr(dataset, 'datasets', None)
    for part in inner or [getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from _parts(part)
    if isinstance(dataset, BaseDataset):
        yield dataset
