"""Images with captions, one annotation file for every published dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from urbancross_mm.datasets.item_checks import (
    check_audio,
    check_whole,
    reads_audio,
    warn,
    warn_of_lost_words,
    warn_of_unnamed_files,
    warn_of_unreadable,
)
from urbancross_mm.datasets.item_rows import FirstUses, caption_audio
from urbancross_mm.registry import DATASETS, TRANSFORMS
from urbancross_mm.structures.annotation_schema import FOLDERS, META_KEYS
from urbancross_mm.structures.annotations import load_annotations, missing_data_message
from urbancross_mm.structures.class_maps import CLASS_KEYS
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.images import probe_image
from urbancross_mm.utils.paths import safe_join

CAPTION_MODES = ('each', 'sample', 'all', 'none')
RESULT_KEYS = dict(segments='segments_path', seg_map_path='seg_map_path')
OPTIONAL_KEYS = ('label', 'lon', 'lat', 'geo_tags')


@DATASETS.register_module()
class ImageTextDataset(BaseDataset):
    """Satellite images and their captions.

    An item, before the pipeline, is a dict with ``img_id, img_path, domain, captions,
    caption_ids, caption_text_ids`` (all captions of the image), ``texts, text_ids`` (what is
    encoded with this item), ``sample_idx`` and, where known, ``label, lon, lat, geo_tags,
    segments_path, segment_dir, seg_map_path``. ``metainfo`` has the ``classes`` of the class maps
    and their ``palette`` where the file names them, as in mmseg.

    Where the image has recordings of its captions, or the pipeline reads recordings, there are
    also ``audio_paths, audio_ids`` (what is encoded with this item, for training that of its text;
    maybe none) and, for every caption, ``caption_audio_paths, caption_audio_ids`` (``''`` and -1
    for none).

    ``captions`` decides what an item is:

    - ``'each'``: a caption with its image. An epoch sees every caption.
    - ``'sample'``: an image with one of its captions, drawn at every load with numpy's global
      generator (which mmengine seeds in every worker).
    - ``'all'``: an image with all its captions, for validation and test. ``texts`` holds only the
      captions that no earlier item has, maybe none. So a loop over the dataset encodes every image
      and every distinct caption exactly once. An image without captions is a distractor: it is
      searched, but is not a query. The split into ``texts`` is made after ``indices`` and
      ``get_subset``, and for each member of a ``ConcatDataset`` (a caption that two members share
      is encoded twice, to the same id).
      Recordings go the same way, but by their path: two of one caption are two queries.
    - ``'none'``: an image without captions, for another task than retrieval: the file needs none.
      The item says ``for_retrieval=False``, so metrics of retrieval leave it out, also as a
      distractor.

    ``skip_bad=True`` decodes every image once when the annotations are loaded, and leaves out those
    that fail. This comes before ``indices``, so it is the same on every rank and after a resume.
    Their number is logged, their paths are in ``skipped``. A transform that returns None is an
    error, except in training with ``skip_bad``: then another item is drawn and it is logged.

    Args:
        ann_file (str): Annotation file of schema 1 (JSON or Parquet), relative to ``data_root``.
        data_root (str): Folder of the dataset. Defaults to ''.
        data_prefix (dict | None): Folders below ``data_root`` by field, over the defaults
            ``dict(img_path='images', segments='segments', seg_map_path='seg_maps',
            audio_paths='audio')``. With the additional key ``segment_dir`` (published layout:
            ``'image_segments'``) an item gets ``segment_dir``, the folder of its segment images.
            Defaults to None.
        captions (str): 'each', 'sample', 'all' or 'none'. Defaults to 'each'.
        domain (str | None): Overrides the domain of every item. Defaults to None.
        skip_bad (bool): Leave out unreadable images instead of failing. Defaults to False.
        pipeline (Sequence): Transforms or their configs. Defaults to ().
        audio_required (bool): Whether a caption without a recording is an error, if the pipeline
            reads recordings. If not, they are counted and logged. Defaults to True.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset` (``indices``, ``lazy_init``,
            ``serialize_data``, ``test_mode``, ``metainfo``, ...).

    Raises:
        FileNotFoundError: If the annotation file or the folder of images is not there.
        ValueError: If the annotation file is wrong (see :func:`load_annotations`).

    Note:
        ``ConcatDataset`` compares the metainfo of its members; give it
        ``ignore_keys=['dataset', 'domain', 'split']``. Use ``KFoldDataset`` with 'sample' and
        'all', whose items are images. With 'each', two folds could share an image: refused.
    """

    # Whether an image without captions is an error.
    captions_required = True

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        data_prefix: dict[str, str] | None = None,
        captions: str = 'each',
        domain: str | None = None,
        skip_bad: bool = False,
        pipeline: Sequence[dict | Callable] = (),
        audio_required: bool = True,
        **kwargs: Any,
    ) -> None:
        if captions not in CAPTION_MODES:
            raise ValueError(f'captions must be one of {CAPTION_MODES}, got {captions!r}')
        self.captions = captions
        self.domain = domain
        self.skip_bad = skip_bad
        self.audio_required = audio_required
        self.skipped: list[str] = []
        # What the file's metainfo says besides META_KEYS.
        self.provenance: dict[str, Any] = {}
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix={**FOLDERS, **(data_prefix or {})},
            # Built here, so that a pipeline needs no default scope to find our transforms.
            pipeline=[TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline],
            **kwargs,
        )

    def full_init(self) -> None:
        """Load the annotations, once, and decide which item encodes which caption."""
        if not self._fully_initialized:
            super().full_init()
            self._assign_texts()
            steps, infos = self.pipeline.transforms, self._raw_infos
            warn_of_unnamed_files(infos(), steps, self.ann_file)
            check_audio(infos(), steps, self.ann_file, self.audio_required)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read and check the annotation file and the folder of images."""
        # A gallery may hold distractors; a training item is a caption.
        required = self.captions_required and self.captions not in ('all', 'none')
        metainfo, raw_items = load_annotations(self.ann_file, required)
        folder = self.data_prefix['img_path']
        if not Path(folder).is_dir():
            raise FileNotFoundError(missing_data_message('folder of images', folder))
        known = (*META_KEYS, *CLASS_KEYS)
        self.provenance = {k: v for k, v in metainfo.items() if k not in known}
        if self.domain is not None:
            self._metainfo['domain'] = self.domain
        for key in META_KEYS:
            self._metainfo.setdefault(key, metainfo.get(key, ''))
        for key in CLASS_KEYS:
            if metainfo.get(key) is not None:
                self._metainfo.setdefault(key, metainfo[key])
        return [item for raw in raw_items for item in self.parse_data_info(raw)]

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> list[dict[str, Any]]:
        """Turn one entry of the file into items: one per caption with 'each', else one."""
        raw, captions = raw_data_info, list(raw_data_info.get('captions') or ())
        ids = raw.get('caption_ids') or [f'{raw["img_id"]}#{k}' for k in range(len(captions))]
        info = dict(
            img_id=raw['img_id'],
            img_path=safe_join(self.data_prefix['img_path'], raw['img_path']),
            domain=self.domain or raw.get('domain') or self._metainfo['domain'],
            captions=captions,
            caption_ids=list(ids),
        )
        if audio := caption_audio(raw, len(captions), self.data_prefix['audio_paths']):
            info['caption_audio_paths'] = audio
        if self.captions == 'none':
            info.pop('caption_audio_paths', None)
            info.update(captions=[], caption_ids=[], for_retrieval=False)
        info.update({k: raw[k] for k in OPTIONAL_KEYS if raw.get(k) is not None})
        for key, result_key in RESULT_KEYS.items():
            if raw.get(key) is not None:
                info[result_key] = safe_join(self.data_prefix[key], raw[key])
        if 'segment_dir' in self.data_prefix:
            stem = PurePosixPath(raw['img_path']).with_suffix('')
            info['segment_dir'] = safe_join(self.data_prefix['segment_dir'], str(stem))
        if self.captions != 'each':
            return [info]
        return [dict(info, caption_index=k) for k in range(len(captions))]

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out unreadable images if ``skip_bad``, and refuse to be empty."""
        items = self._readable(self.data_list) if self.skip_bad else self.data_list
        if not items:
            raise ValueError(
                f'{self.ann_file} leaves no item to load '
                f'({len(self.skipped)} unreadable images skipped)'
            )
        warn_of_lost_words(self._captions_of(items), self.pipeline.transforms, self.ann_file)
        return items

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """One item as the pipeline gets it.

        Args:
            idx (int): Index of the item.

        Returns:
            dict: The item. With ``captions='sample'`` this draws from numpy's global generator.
        """
        info = super().get_data_info(idx)
        info['caption_text_ids'] = [stable_id(caption) for caption in info['captions']]
        chosen = self._choose(info)
        info['texts'] = [info['captions'][k] for k in chosen]
        info['text_ids'] = [info['caption_text_ids'][k] for k in chosen]
        self._add_audio(info, chosen)
        return info

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on one item; None is returned only in training with ``skip_bad``.

        Raises:
            ValueError: If a transform returned None otherwise.
        """
        data = super().prepare_data(idx)
        if data is None:
            what = f'a transform returned None for item {idx} of {self.ann_file}'
            if self._evaluates or not self.skip_bad:
                raise ValueError(f'{what}; only training with skip_bad=True may skip items')
            warn(f'skip_bad: {what}, another item is drawn')
        return data

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep some items only. See :meth:`mmengine.dataset.BaseDataset.get_subset_`."""
        self._check_whole(indices)
        super().get_subset_(indices)
        self._assign_texts()

    def get_subset(self, indices: Sequence[int] | int) -> ImageTextDataset:
        """A copy with some items. See :meth:`mmengine.dataset.BaseDataset.get_subset`."""
        self._check_whole(indices)
        subset = super().get_subset(indices)
        subset._assign_texts()
        return subset

    @property
    def _evaluates(self) -> bool:
        """Whether the items are a gallery: a missing one would change the recall."""
        return self.test_mode or self.captions == 'all'

    def _captions_of(self, items: list[dict[str, Any]]) -> list[str]:
        """All captions that items may draw."""
        return [caption for item in items for caption in item['captions']]

    def _choose(self, info: dict[str, Any]) -> list[int]:
        """Indices of the captions that this item encodes."""
        if self.captions == 'each':
            return [info.pop('caption_index')]
        if self.captions == 'sample':
            return [int(np.random.randint(len(info['captions'])))]
        if self.captions == 'none':
            return []
        return self._owned_texts(info['sample_idx'])

    def _add_audio(self, info: dict[str, Any], chosen: Sequence[int]) -> None:
        """The recordings of an item, and their ids."""
        if 'caption_audio_paths' not in info:
            if not reads_audio(self.pipeline.transforms):
                return
            info['caption_audio_paths'] = [''] * len(info['captions'])
        paths = info['caption_audio_paths']
        info['caption_audio_ids'] = [stable_id(path) if path else -1 for path in paths]
        heard = self._owned_audio(info['sample_idx']) if self.captions == 'all' else chosen
        heard = [k for k in heard if paths[k]]
        info['audio_paths'] = [paths[k] for k in heard]
        info['audio_ids'] = [info['caption_audio_ids'][k] for k in heard]

    def _assign_texts(self) -> None:
        """With ``captions='all'``, give every distinct caption to the first item that has it."""
        if self.captions == 'all':
            self._owned_texts = FirstUses(info['captions'] for info in self._raw_infos())
            self._owned_audio = FirstUses(
                info.get('caption_audio_paths', ()) for info in self._raw_infos()
            )

    def _raw_infos(self) -> Iterator[dict[str, Any]]:
        """The items as they are stored; nothing is drawn."""
        return (super(ImageTextDataset, self).get_data_info(idx) for idx in range(len(self)))

    def _check_whole(self, indices: Sequence[int] | int) -> None:
        """Refuse a subset, such as a fold, with only some captions of an image."""
        if self.captions == 'each' and not isinstance(indices, int):
            check_whole([super(ImageTextDataset, self).get_data_info(idx) for idx in indices])

    def _readable(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        problems = {path: probe_image(path) for path in dict.fromkeys(i['img_path'] for i in items)}
        self.skipped = warn_of_unreadable(problems, self.ann_file, self._evaluates)
        return [item for item in items if not problems[item['img_path']]]
