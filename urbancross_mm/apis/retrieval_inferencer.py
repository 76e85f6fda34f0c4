"""Ask a folder of images: encode once, search many times."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.data import DataLoader

from urbancross_mm.apis.runs import resolve_checkpoint
from urbancross_mm.inference.config import for_checkpoint, load_config, model_of, test_pipeline_of
from urbancross_mm.inference.gallery_update import Reuse, encode_files
from urbancross_mm.inference.image_files import (
    ImageFiles,
    collate_images,
    find_images,
    image_record,
)
from urbancross_mm.inference.image_metadata import join_metadata
from urbancross_mm.registry import INDEXES, MODELS, TRANSFORMS
from urbancross_mm.structures import Gallery
from urbancross_mm.utils.checkpoints import read_state_dict
from urbancross_mm.utils.devices import usable_device
from urbancross_mm.utils.hashing import name_files
from urbancross_mm.utils.state_dicts import check_state_dict


class RetrievalInferencer:
    """Search images by sentence or by image with any retriever of this project.

    ``build_index`` encodes a folder once into a :class:`Gallery`; ``search`` answers any number of
    queries from it. A gallery carries the fingerprint of weights and pipeline, and is refused by
    an inferencer with another one; and it knows the files that it was built from, and is refused
    if one of them has changed.

    Args:
        config (str | Path | Config): A config.
        weights (str | Path, optional): Its checkpoint, or a work directory; None keeps the weights
            that the config builds (zero-shot). Defaults to None.
        device (str, optional): Defaults to the GPU if there is one.
        batch_size (int): Images a forward pass. Defaults to 32.
        num_workers (int): Processes that read images. Defaults to 0.
        index (dict): The search index. Defaults to exact search in torch.

    Examples:
        >>> inferencer = RetrievalInferencer('configs/urbancross_finland.py', 'best.pth')
        >>> inferencer.build_index('tiles/')
        >>> inferencer.search('a harbour with many boats', topk=5)

    Raises:
        FileNotFoundError: If the config or the weights do not exist.
        ValueError: If the weights are of another model.
    """

    def __init__(
        self,
        config: str | Path | Config,
        weights: str | Path | None = None,
        device: str | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        index: Mapping[str, Any] | None = None,
    ) -> None:
        self.cfg = config if isinstance(config, Config) else load_config(config)
        init_default_scope(self.cfg.get('default_scope', 'urbancross_mm'))
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.index_cfg = dict(index or dict(type='TorchIndex'))
        model = model_of(self.cfg)
        self.model = MODELS.build(for_checkpoint(model) if weights is not None else model)
        if weights is not None:
            _load_weights(self.model, resolve_checkpoint(str(weights)))
        elif hasattr(self.model, 'init_weights'):
            self.model.init_weights()
        self.model = self.model.to(usable_device(device)).eval()
        # Our registry builds a part of another package under its own scope.
        self.pipeline = Compose([TRANSFORMS.build(step) for step in test_pipeline_of(self.cfg)])
        self.tokenizer = _tokenizer_of(self.pipeline)
        self.gallery: Gallery | None = None
        self._index: Any = None
        self._fingerprint = ''

    @property
    def fingerprint(self) -> str:
        """str: Hash of the weights, the model's settings and the test pipeline."""
        if not self._fingerprint:
            digest = hashlib.blake2b(digest_size=16)
            # Where weights once came from is no part of what they are.
            settings = [for_checkpoint(self.cfg.model.to_dict()), test_pipeline_of(self.cfg)]
            # Nor is where the files lie that they name: a vocabulary counts by its content.
            digest.update(json.dumps(name_files(settings), sort_keys=True, default=str).encode())
            for name, value in sorted(self.model.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def build_index(
        self,
        images: str | Path | Sequence[str | Path],
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        skip_bad: bool = False,
        progress: bool = True,
        gallery: Gallery | None = None,
    ) -> Gallery:
        """Encode images, each once, and make them searchable.

        Args:
            images (str | Path | Sequence): A folder, searched with its subfolders, or paths.
            metadata (Mapping, optional): What a result shall also tell, such as ``lon``, ``lat``
                and ``domain``, by the path below the folder (of listed paths: by the path as
                listed); a bare file name does where one image alone has it. Defaults to None:
                what the gallery has.
            skip_bad (bool): Leave out images that cannot be read, and say how many, instead of
                raising. Defaults to False.
            progress (bool): Show a progress bar. Defaults to True.
            gallery (Gallery, optional): An earlier gallery of these images, also if their folder
                was moved: only what is new or has changed is encoded. Defaults to None.

        Returns:
            Gallery: Also kept for ``search``; ``gallery.save(path)`` writes it.

        Raises:
            FileNotFoundError: If the folder does not exist or holds no image.
            ValueError: If an image cannot be read and ``skip_bad`` is off, a key of the metadata
                fits no image or several, or the gallery was built with other weights or another
                pipeline.
        """
        found = find_images(images)
        extra = None if metadata is None else join_metadata(metadata, found.names, found.folder)
        if gallery is not None:
            gallery.check_fingerprint(self.fingerprint)
        reuse = Reuse(found, gallery)
        for remark in filter(None, (found.remark, reuse.remark)):
            print(remark)
        loader = DataLoader(
            ImageFiles([found.paths[place] for place in reuse.missing], self.pipeline, skip_bad),
            self.batch_size,
            num_workers=self.num_workers,
            collate_fn=collate_images,
        )
        encoded = encode_files(
            loader, partial(self._encode, field='image_embeds'), reuse.missing, progress
        )
        left_out = len(reuse.missing) - len(encoded.places)
        if left_out == len(found.paths):
            raise ValueError(f'none of the {len(found.paths)} images could be read')
        if left_out:
            print(f'{left_out} of {len(found.paths)} images could not be read and were left out')
        self._search_in(reuse.build(encoded, extra, self.fingerprint))
        return self.gallery

    def use_gallery(self, gallery: Gallery) -> None:
        """Search a gallery that was built earlier.

        Args:
            gallery (Gallery): From ``build_index`` or ``Gallery.load``. Its images need not be
                there.

        Raises:
            ValueError: If it was built with other weights or another pipeline, or an image that
                is there is not the one that was encoded.
        """
        gallery.check_fingerprint(self.fingerprint)
        changed = gallery.changed_files()
        if changed:
            raise ValueError(
                f'stale gallery: {len(changed)} of its {len(gallery)} images have '
                f'changed since, such as {changed[0]}; build_index(..., gallery=...) '
                'encodes these again'
            )
        self._search_in(gallery)

    def _search_in(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._index = INDEXES.build(self.index_cfg)
        self._index.add(gallery.embeds)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode sentences.

        Args:
            texts (Sequence[str]): The sentences.

        Shape:
            - output: ``(len(texts), D)``, unit length, on the CPU.

        Returns:
            Tensor: One row a sentence.
        """
        batch = dict(inputs=dict(text=[self.tokenizer(list(texts))]))
        inputs = self.model.data_preprocessor(batch, False)['inputs']
        return self.model.encode_text(inputs['text']).float().cpu()

    def encode_images(self, images: Sequence[str | Path]) -> Tensor:
        """Encode images.

        Args:
            images (Sequence[str | Path]): Their paths.

        Shape:
            - output: ``(len(images), D)``, on the CPU.

        Returns:
            Tensor: One row an image.
        """
        batch = [self.pipeline(image_record(str(path))) for path in images]
        return self._encode(pseudo_collate(batch), 'image_embeds')

    def search(
        self,
        text: str | None = None,
        image: str | Path | None = None,
        topk: int = 10,
        where: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> list[dict[str, Any]]:
        """Find the images closest to a query.

        Args:
            text (str, optional): A sentence. Defaults to None.
            image (str | Path, optional): An image. Exactly one of the two must be given.
            topk (int): Results at most. Defaults to 10.
            where (Callable, optional): Keeps an image by its metadata, for example
                ``lambda record: record['domain'] == 'spain'``. Defaults to None.

        Returns:
            list[dict]: Best first: ``rank`` (from 1), ``score``, ``img_path`` and whatever the
            metadata holds.

        Raises:
            ValueError: If not exactly one query is given, the sentence is empty, or there is no
                gallery yet.
        """
        if self.gallery is None:
            raise ValueError('nothing to search: call build_index or use_gallery first')
        if (text is None) == (image is None):
            raise ValueError(f'give a text or an image, exactly one; got {text!r} and {image!r}')
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise ValueError(f'a query is a text with words, got {text!r}')
        if text is not None and getattr(self.tokenizer, 'is_cut', lambda text: False)(text):
            print_log(
                f'the query is longer than the {self.tokenizer.context_length} tokens that '
                f'the model reads: its end is cut ({text:.40}...)',
                'current',
                logging.WARNING,
            )
        query = self.encode_texts([text]) if text is not None else self.encode_images([image])
        records = self.gallery.metadata
        mask = None if where is None else torch.tensor([bool(where(r)) for r in records])
        scores, places = self._index.search(query, topk, mask)
        found = zip(scores[0].tolist(), places[0].tolist())
        return [
            dict(records[place], rank=rank, score=score)
            for rank, (score, place) in enumerate(found, 1)
        ]

    @torch.no_grad()
    def _encode(self, batch: dict[str, Any], field: str) -> Tensor:
        samples = self.model.test_step(batch)
        return torch.stack([sample.get(field) for sample in samples]).float().cpu()


def _tokenizer_of(pipeline: Compose) -> Callable[[list[str]], Tensor]:
    for step in pipeline.transforms:
        if hasattr(step, 'tokenizer'):
            return step.tokenizer
    raise ValueError('the test pipeline has no TokenizeText: the model cannot be asked a sentence')


def _load_weights(model: torch.nn.Module, weights: str | Path) -> None:
    found = read_state_dict(weights)
    check_state_dict(model, found, weights)
    model.load_state_dict(found, strict=False)
