"""The unlabeled target of an adaptation: images and captions, without the pairing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from urbancross_mm.datasets.anchors import Labels, held_out_images, read_anchors
from urbancross_mm.datasets.image_text_dataset import ImageTextDataset
from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.text_files import read_captions


@DATASETS.register_module()
class UnpairedDataset(ImageTextDataset):
    """Images of a domain, each with a random caption of the domain.

    An item is an image; an epoch sees each once. An item does not say which captions belong to its
    image: the pool of captions is sorted, a draw depends only on the seed, and ``captions`` and
    all caption ids are empty. So no loss, not even a wrong one, can learn from a target pair.

    The pool holds every caption as often as the dataset has it.

    Args:
        ann_file (str): Annotation file; its images need no captions if there is a text file.
        text_file (str | Sequence[str] | None): Text files with one caption per line, relative to
            ``data_root``, instead of the captions of the annotation file. Defaults to None.
        anchors_file (str | None): Labels of a few images (see :func:`read_anchors`), relative to
            the working directory. Their captions join the pool, and ``labels`` has them; the items
            stay as they are. Defaults to None.
        **kwargs: Of :class:`ImageTextDataset`, but for ``captions``.

    Raises:
        FileNotFoundError: If a file or the folder of images is missing.
        ValueError: If there is no caption at all, or a file is wrong.
    """

    captions_required = False

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        text_file: str | Sequence[str] | None = None,
        anchors_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop('captions', 'unpaired') != 'unpaired':
            raise ValueError(
                f"{type(self).__name__} draws captions at random: it takes no 'captions'"
            )
        self.anchors_file = anchors_file
        self.labels: Labels = {}
        self.text_files = [text_file] if isinstance(text_file, str) else list(text_file or ())
        self.pool: list[str] = []
        super().__init__(ann_file, data_root, captions='sample', **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotations and separate the images from their captions."""
        items = super().load_data_list()
        captions = [caption for item in items for caption in item['captions']]
        for item in items:
            item.update(captions=[], caption_ids=[])
            item.pop('caption_audio_paths', None)  # what says a caption would pair it
        # Sorted, because the order of the captions in the file is that of the images.
        self.pool = sorted(self._read_text_files() if self.text_files else captions)
        if not self.pool:
            raise ValueError(
                f'{self.ann_file} has no caption: give text_file, a file of captions of the '
                'target, one per line'
            )
        if self.anchors_file:
            self.labels = self._read_labels(self.anchors_file, items)
            known = set(self.pool)
            added = {caption for captions in self.labels.values() for caption in captions} - known
            self.pool = sorted([*self.pool, *added])
        return items

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An image and a caption drawn with numpy's global generator.

        In ``test_mode`` each caption goes to exactly one image, so that a loop over the dataset
        encodes all of them.

        Args:
            idx (int): Index of the image.

        Returns:
            dict: As :meth:`ImageTextDataset.get_data_info`, without any caption of the image.
        """
        info = BaseDataset.get_data_info(self, idx)
        texts = (
            self.pool[info['sample_idx'] :: len(self)]
            if self.test_mode
            else [self.pool[np.random.randint(len(self.pool))]]
        )
        info.update(caption_text_ids=[], texts=texts, text_ids=[stable_id(text) for text in texts])
        self._add_audio(info, ())
        return info

    def _captions_of(self, items: list[dict[str, Any]]) -> list[str]:
        return self.pool

    def _read_labels(self, path: str, items: list[dict[str, Any]]) -> Labels:
        folder = self.data_prefix['img_path']
        paths = {
            item['img_id']: Path(os.path.relpath(item['img_path'], folder)).as_posix()
            for item in items
        }
        return read_anchors(path, paths, self.pool, held_out_images(self.ann_file))

    def _read_text_files(self) -> list[str]:
        captions = []
        for name in self.text_files:
            path = Path(self.data_root, name)
            if not path.is_file():
                raise FileNotFoundError(
                    f'text file not found: {path} (captions of the target, one per line)'
                )
            captions += read_captions(path)
        return captions


@DATASETS.register_module()
class AnchorDataset(UnpairedDataset):
    """The labeled images of a target, as pairs: the few that somebody made by hand.

    An item is an image with one of its captions, or of those that say its class, drawn at every
    load. It stands beside the :class:`UnpairedDataset` of the same files, and
    :class:`CrossDomainSampler` repeats it as often as it takes.

    Args:
        ann_file (str): As the unpaired dataset.
        anchors_file (str): The labels, see :func:`read_anchors`.
        domain (str): Of the items; not that of the target, whose pairs are unknown. Defaults to
            'anchors'.
        **kwargs: As the unpaired dataset.
    """

    def __init__(
        self, ann_file: str, *, anchors_file: str, domain: str = 'anchors', **kwargs: Any
    ) -> None:
        super().__init__(ann_file, anchors_file=anchors_file, domain=domain, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the labeled images."""
        items = []
        for item in super().load_data_list():
            captions = self.labels.get(item['img_id'], [])
            ids = [f'{item["img_id"]}#anchor{k}' for k in range(len(captions))]
            if captions:
                items.append(dict(item, captions=captions, caption_ids=ids))
        return items

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """As :meth:`ImageTextDataset.get_data_info`."""
        return ImageTextDataset.get_data_info(self, idx)

    def _captions_of(self, items: list[dict[str, Any]]) -> list[str]:
        return ImageTextDataset._captions_of(self, items)
