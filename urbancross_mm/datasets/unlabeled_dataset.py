"""Items of one modality that belong to nothing else: any images, any texts, any recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from urbancross_mm.datasets.item_checks import warn_of_lost_words, warn_of_unreadable
from urbancross_mm.datasets.item_rows import caption_audio
from urbancross_mm.datasets.transforms.audio import LoadSpectrogramImage
from urbancross_mm.registry import DATASETS, TRANSFORMS
from urbancross_mm.structures.annotation_schema import FOLDERS
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.utils.audio import measure_audio
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.image_files import IMAGES, SOUND, list_files
from urbancross_mm.utils.images import probe_image
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.utils.text_files import read_lines

ANNOTATIONS = ('.json', '.parquet')
# What the items of each modality are called in messages.
KINDS = dict(image='images', text='texts', audio='recordings')


@DATASETS.register_module()
class UnlabeledDataset(BaseDataset):
    """Images, texts or recordings alone, for training without pairs.

    An item, before the pipeline, has ``sample_idx`` and what its modality needs: ``img_id`` and
    ``img_path`` (the same), ``texts`` and ``text_ids`` (one), or ``audio_paths`` and ``audio_ids``
    (one). Files are read when an item is. ``metainfo`` has the ``modality``, by which
    :class:`ModalityBatchSampler` makes batches.

    Args:
        modality (str): 'image', 'text' or 'audio'.
        source (str): What to read, relative to ``data_root``:

            - a folder, searched with its subfolders: of images, or of WAV, FLAC and OGG files. If
              the pipeline has ``LoadSpectrogramImage``, recordings are image files too;
            - a text file, one text a line; blank lines are left out;
            - an annotation file (``.json``, ``.parquet``), of which one modality is taken: every
              image and every recording once, every caption.
        data_root (str): Folder of the dataset. Defaults to ''.
        data_prefix (dict | None): For an annotation file, see :class:`ImageTextDataset`.
            Defaults to None.
        pipeline (Sequence): Transforms or their configs. Defaults to ().
        skip_bad (bool): Decode every file once at the start, and leave out those that fail. Their
            paths are in ``skipped``. Defaults to False.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`: ``indices``, ``lazy_init``,
            ``serialize_data``, ``test_mode``, ``max_refetch``.

    Raises:
        FileNotFoundError: If the source is not there.
        ValueError: If it has no item, the modality is unknown, or the pipeline reads another.

    Examples:
        >>> texts = dict(
        ...     type='UnlabeledDataset', modality='text', source='sentences.txt', pipeline=[
        ...         dict(type='TokenizeText', tokenizer=words), dict(type='PackRetrievalInputs')])
    """

    def __init__(
        self,
        modality: str,
        source: str,
        data_root: str = '',
        data_prefix: dict[str, str] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        skip_bad: bool = False,
        **kwargs: Any,
    ) -> None:
        if modality not in KINDS:
            raise ValueError(f'modality must be one of {tuple(KINDS)}, got {modality!r}')
        self.modality = modality
        self.skip_bad = skip_bad
        self.skipped: list[str] = []
        super().__init__(
            ann_file=source,
            data_root=data_root,
            data_prefix={**FOLDERS, **(data_prefix or {})},
            # Built here, so that a pipeline needs no default scope to find our transforms.
            pipeline=[TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline],
            **kwargs,
        )
        # Not an argument: mmengine would look for a file of this name.
        self._metainfo['modality'] = modality

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the files, or read the lines."""
        if self.ann_file.endswith(ANNOTATIONS):
            strings, remark = self._annotated(), ''
        elif self.modality == 'text':
            strings, remark = [line for line in read_lines(self.ann_file) if line], ''
        else:
            listing = list_files(self.ann_file, IMAGES if self._reads_images else SOUND)
            strings, remark = listing.paths, listing.remark
        if not strings:
            raise ValueError(
                f'{self.ann_file} has no {KINDS[self.modality]}{remark and f" ({remark})"}'
            )
        return [self._item(string) for string in strings]

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out unreadable files if ``skip_bad``, and refuse to be empty."""
        kind = KINDS[self.modality]
        if self.modality == 'text':
            texts = [item['texts'][0] for item in self.data_list]
            warn_of_lost_words(texts, self.pipeline.transforms, self.ann_file)
        elif self.skip_bad:
            problems = {path: self._problem(path) for path in map(_path, self.data_list)}
            self.skipped = warn_of_unreadable(problems, self.ann_file, False, kind)
            if len(self.skipped) == len(problems):
                raise ValueError(f'all {len(problems)} {kind} of {self.ann_file} are unreadable')
            return [item for item in self.data_list if not problems[_path(item)]]
        return self.data_list

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on one item.

        Raises:
            ValueError: If the pipeline reads another modality.
        """
        try:
            return super().prepare_data(idx)
        except KeyError as error:
            raise ValueError(
                f'the pipeline needs {error}, which {KINDS[self.modality]} of {self.ann_file} '
                f'lack: give the {self.modality} transforms alone'
            ) from error

    @property
    def _reads_images(self) -> bool:
        """Whether the files are images: of the modality, or of its spectrograms."""
        steps = self.pipeline.transforms
        return self.modality == 'image' or any(isinstance(s, LoadSpectrogramImage) for s in steps)

    def _annotated(self) -> list[str]:
        """One modality of an annotation file."""
        _, items = load_annotations(self.ann_file, captions_required=False)
        if self.modality == 'text':
            return [caption for item in items for caption in item.get('captions') or ()]
        if self.modality == 'image':
            folder = self.data_prefix['img_path']
            return list(dict.fromkeys(safe_join(folder, item['img_path']) for item in items))
        folder = self.data_prefix['audio_paths']
        paths = [path for item in items for path in caption_audio(item, 0, folder)]
        return list(dict.fromkeys(filter(None, paths)))

    def _item(self, string: str) -> dict[str, Any]:
        if self.modality == 'image':
            return dict(img_id=string, img_path=string)
        name = f'{self.modality}_ids'
        key = 'texts' if self.modality == 'text' else 'audio_paths'
        return {key: [string], name: [stable_id(string)]}

    def _problem(self, path: str) -> str | None:
        if self._reads_images:
            return probe_image(path)
        try:
            measure_audio(path)
        except (OSError, ValueError) as error:
            return str(error)
        return None


def _path(item: dict[str, Any]) -> str:
    return item['img_path'] if 'img_path' in item else item['audio_paths'][0]
