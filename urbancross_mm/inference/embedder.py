"""Builds a trained model, loads its checkpoint and encodes with it, for every client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope, init_default_scope
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from urbancross_mm.datasets.transforms.audio import AUDIO_TRANSFORMS
from urbancross_mm.datasets.transforms.loading import LoadSegMap
from urbancross_mm.inference.checkpoints import (
    build_model,
    for_checkpoint,
    hash_weights,
    resolve_checkpoint,
)
from urbancross_mm.inference.config import load_config, model_of
from urbancross_mm.inference.image_files import (
    EncodedFiles,
    ImageFiles,
    ImageItem,
    collate_images,
    load_image,
)
from urbancross_mm.inference.recordings import load_recordings, recording_steps
from urbancross_mm.inference.segmentation import class_maps, decode_head_of
from urbancross_mm.registry import SCOPE, TRANSFORMS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.config import test_pipeline_of
from urbancross_mm.utils.devices import usable_device
from urbancross_mm.utils.hashing import FileStamp, name_files
from urbancross_mm.utils.progress import track

Tower = Callable[[Tensor], Tensor]


class Embedder:
    """A retriever with its test pipeline and tokenizer, ready to encode images and texts.

    The search, the feature file, the scorer of captions and the map of domains all encode with it,
    so one image or text has one vector everywhere.

    Args:
        model (Mapping): Config of the retriever.
        pipeline (Sequence[Mapping]): Its test pipeline, with ``TokenizeText``.
        checkpoint (str | Path, optional): A checkpoint file, or a work directory. Defaults to
            None: the weights that the config of the model names. Weights that it does not name
            are random, and the same each time.
        device (str, optional): Defaults to the GPU if there is one.
        batch_size (int): Images, or texts, per forward pass. Defaults to 32.
        num_workers (int): Processes that read images. Defaults to 0.
        scope (str): mmengine's default scope while model and pipeline are built. Defaults to
            'urbancross_mm'.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the checkpoint belongs to another model, or the pipeline has no tokenizer or
            that of another text encoder.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        pipeline: Sequence[Mapping[str, Any]],
        checkpoint: str | Path | None = None,
        device: str | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        scope: str = SCOPE,
    ) -> None:
        self.model_cfg = _without_views(model)
        self.pipeline_cfg = [dict(step) for step in pipeline]
        self.checkpoint = None if checkpoint is None else resolve_checkpoint(str(checkpoint))
        self.batch_size = batch_size
        self.num_workers = num_workers
        device = usable_device(device)
        # mmengine builds some parts itself, such as the data preprocessor, by the default scope.
        with DefaultScope.overwrite_default_scope(scope):
            self.model = build_model(self.model_cfg, self.checkpoint).to(device).eval()
            # Our registry builds a part of another package under its own scope.
            steps = [TRANSFORMS.build(step) for step in self.pipeline_cfg]
        # An image to encode comes without a class map, for which the decode head need not run, and
        # without recordings.
        aside = (LoadSegMap, *AUDIO_TRANSFORMS)
        self.pipeline = Compose([step for step in steps if not isinstance(step, aside)])
        self._recording_steps = recording_steps(steps)
        self.tokenizer = self._find_tokenizer()
        if hasattr(self.model, 'check_tokenizer'):
            self.model.check_tokenizer(self.tokenizer)
        self._fingerprint = ''

    @classmethod
    def from_config(
        cls,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        **options: Any,
    ) -> Embedder:
        """Take model and test pipeline from the config of a run.

        Args:
            config (str | Path | Config): A config, or its file.
            checkpoint (str | Path, optional): See the class. Defaults to None.
            **options: ``device``, ``batch_size`` and ``num_workers`` of the class.

        Returns:
            Embedder: Ready to encode.

        Raises:
            FileNotFoundError: If the config or the checkpoint does not exist.
            ValueError: If the config has no model or no test pipeline, or the checkpoint belongs
                to another model.
        """
        cfg = config if isinstance(config, Config) else load_config(config)
        scope = cfg.get('default_scope', SCOPE)
        init_default_scope(scope)  # for the datasets of the config, as a run does it
        return cls(model_of(cfg), test_pipeline_of(cfg), checkpoint, scope=scope, **options)

    @property
    def fingerprint(self) -> str:
        """str: Hash of the weights, the model's settings and the test pipeline."""
        if not self._fingerprint:
            # Neither where weights once came from counts, nor where a named file lies.
            settings = name_files([for_checkpoint(self.model_cfg), self.pipeline_cfg])
            text = json.dumps(settings, sort_keys=True, default=str)
            self._fingerprint = hash_weights(self.model.state_dict(), text=text)
        return self._fingerprint

    @torch.no_grad()
    def encode_images(
        self, images: Sequence[str | Path | np.ndarray], tower: Tower | None = None
    ) -> Tensor:
        """Encode images.

        Args:
            images (Sequence): Paths, or uint8 RGB arrays of shape ``(H, W, 3)`` and any size.
            tower (Callable, optional): Encodes a batch of normalized images, for instance without
                the projection. Defaults to None: what the model is searched by.

        Shape:
            - output: ``(N, D)``.

        Returns:
            Tensor: One row per image, on the CPU.

        Raises:
            FileNotFoundError: If an image does not exist.
            ValueError: If an image cannot be read.
        """
        rows = [self._encode_batch(batch, tower) for batch in self._batches(images)]
        return torch.cat(rows) if rows else torch.empty(0, 0)

    @torch.no_grad()
    def encode_files(
        self,
        paths: Sequence[str],
        tower: Tower | None = None,
        skip_bad: bool = False,
        progress: bool = True,
    ) -> EncodedFiles:
        """Encode image files, read by the workers, and note what each file was.

        Args:
            paths (Sequence[str]): The files.
            tower (Callable, optional): As in :meth:`encode_images`. Defaults to None.
            skip_bad (bool): Leave out images that cannot be read. Defaults to False.
            progress (bool): Show a progress bar. Defaults to True.

        Returns:
            EncodedFiles: Without the images that were left out.

        Raises:
            ValueError: If an image cannot be read and ``skip_bad`` is off, or it changes while
                it is read.
        """
        files = ImageFiles(list(paths), self.pipeline, skip_bad)
        positions: list[int] = []
        stamps: list[FileStamp] = []
        rows = []
        hidden = not progress or not paths
        # The bar is closed before an error is printed.
        with tqdm(total=len(paths), desc='encode images', unit='image', disable=hidden) as bar:
            for part in self.stream(files, tower):
                if part.positions:
                    rows.append(part.embeds)
                    positions += part.positions
                    stamps += part.stamps
                bar.update(min(self.batch_size, len(paths) - bar.n))
        return EncodedFiles(positions, torch.cat(rows) if rows else torch.empty(0, 0), stamps)

    @torch.no_grad()
    def stream(
        self, images: Dataset[ImageItem], tower: Tower | None = None
    ) -> Iterator[EncodedFiles]:
        """Encode a dataset of images batch by batch, in bounded memory.

        Args:
            images (Dataset): Gives an :class:`~urbancross_mm.inference.image_files.ImageItem` by
                position; the workers read them.
            tower (Callable, optional): As in :meth:`encode_images`. Defaults to None.

        Yields:
            EncodedFiles: One for each batch of ``batch_size``, in order.

        Raises:
            ValueError: If an image cannot be read and the dataset does not skip it.
        """
        loader = DataLoader(
            images, self.batch_size, num_workers=self.num_workers, collate_fn=collate_images
        )
        for kept, stamps, batch, empty in loader:
            embeds = self._encode_batch(batch, tower) if kept else torch.empty(0, 0)
            yield EncodedFiles(kept, embeds, stamps, empty)

    @torch.no_grad()
    def encode_texts(
        self,
        texts: Sequence[str],
        tower: Tower | None = None,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Encode texts.

        Args:
            texts (Sequence[str]): The texts; what is longer than the context is cut.
            tower (Callable, optional): Encodes a batch of token ids, for instance without the
                projection. Defaults to None: the model's ``encode_text``.
            batch_size (int, optional): Texts per forward pass. Defaults to that of the embedder.
            progress (bool): Show a progress bar. Defaults to False.

        Shape:
            - output: ``(N, D)``.

        Returns:
            Tensor: One row per text, on the CPU.
        """
        size = batch_size or self.batch_size
        order = list(range(len(texts)))
        if len(texts) > size:
            # Texts of similar length share a batch: an encoder may cut the padding of all rows.
            order.sort(key=lambda position: len(texts[position]))
        starts: Sequence[int] = range(0, len(order), size) or [0]
        rows = []
        for start in track(starts, 'encode texts', unit='batch') if progress else starts:
            some = [texts[position] for position in order[start : start + size]]
            batch = dict(inputs=dict(text=[self.tokenizer(some)]))
            inputs = self.model.data_preprocessor(batch, False)['inputs']
            rows.append((tower or self.model.encode_text)(inputs['text']).float().cpu())
        return rows[0] if len(rows) == 1 else torch.cat(rows)[torch.tensor(order).argsort()]

    @torch.no_grad()
    def encode_audio(self, paths: Sequence[str | Path]) -> Tensor:
        """Encode recordings.

        Args:
            paths (Sequence[str | Path]): The files: WAV, FLAC or OGG.

        Shape:
            - output: ``(len(paths), D)``.

        Returns:
            Tensor: One row per recording, on the CPU.

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: If the model has no audio encoder, or a recording cannot be read.
        """
        if 'audio' not in self.model.modalities or self._recording_steps is None:
            raise ValueError(
                f'{type(self.model).__name__} cannot hear: a spoken query needs a model with an '
                'audio encoder, and LoadAudio in its test pipeline'
            )
        rows = []
        for start in range(0, len(paths), self.batch_size):
            batch = load_recordings(self._recording_steps, paths[start : start + self.batch_size])
            inputs = self.model.data_preprocessor(batch, False)['inputs']
            rows.append(self.model.encode('audio', inputs['audio']).float().cpu())
        return torch.cat(rows) if rows else torch.empty(0, 0)

    @torch.no_grad()
    def segment(self, images: Sequence[str | Path | np.ndarray]) -> list[np.ndarray]:
        """Find the class of every pixel.

        Args:
            images (Sequence): As in :meth:`encode_images`.

        Returns:
            list[np.ndarray]: One uint8 class map ``(H, W)`` per image, of the image's own size.

        Raises:
            FileNotFoundError: If an image does not exist.
            ValueError: If the model has no decode head, or an image cannot be read.
        """
        decode_head_of(self.model)
        maps: list[np.ndarray] = []
        for batch in self._batches(images):
            inputs = self.model.data_preprocessor(batch, False)['inputs']
            sizes = [sample.ori_shape for sample in batch['data_samples']]
            maps += class_maps(self.model, inputs['image'], sizes)
        return maps

    @torch.no_grad()
    def predict(self, dataset: Dataset) -> list[RetrievalDataSample]:
        """Run the model over a dataset, as a test does.

        Args:
            dataset (Dataset): Of images with their captions, with its pipeline.

        Returns:
            list[RetrievalDataSample]: One per item, with its embeddings.
        """
        loader = DataLoader(
            dataset,  # type: ignore[arg-type]
            self.batch_size,
            collate_fn=pseudo_collate,
            num_workers=self.num_workers,
        )
        return [
            sample
            for batch in track(loader, 'encode dataset', len(loader), 'batch')
            for sample in self.model.test_step(batch)
        ]

    def normalized(self, images: Sequence[Tensor]) -> Tensor:
        """Images as a batch that the image encoder takes; for parts that call it themselves.

        Args:
            images (Sequence[Tensor]): uint8, of one size.

        Shape:
            - images: each ``(3, H, W)``; output: ``(N, 3, H, W)``, on the device of the model.

        Returns:
            Tensor: Normalized by the data preprocessor of the model.
        """
        batch = dict(inputs=dict(image=list(images)))
        return self.model.data_preprocessor(batch, False)['inputs']['image']

    def _find_tokenizer(self) -> Any:
        for step in self.pipeline.transforms:
            if hasattr(step, 'tokenizer'):
                return step.tokenizer
        raise ValueError('the test pipeline has no TokenizeText: the model cannot encode texts')

    def _batches(self, images: Sequence[str | Path | np.ndarray]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(images), self.batch_size):
            some = images[start : start + self.batch_size]
            yield pseudo_collate([load_image(image, self.pipeline) for image in some])

    def _encode_batch(self, batch: dict[str, Any], tower: Tower | None) -> Tensor:
        if tower is None:
            # Not encode_image: a model may be searched by more than that, such as its segments.
            samples = self.model.test_step(batch)
            return torch.stack([sample.image_embeds for sample in samples]).float().cpu()
        inputs = self.model.data_preprocessor(batch, False)['inputs']
        return tower(inputs['image']).float().cpu()


def _without_views(model: Mapping[str, Any]) -> dict[str, Any]:
    """A test compares other views of its images; what is encoded here is the images."""
    preprocessor = model.get('data_preprocessor') or {}
    if 'image_view' not in preprocessor:
        return dict(model)
    rest = {key: value for key, value in preprocessor.items() if key != 'image_view'}
    return dict(model, data_preprocessor=rest)
