"""Scorers: how well an image and a caption go together."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from urbancross_mm.curation.core.records import digest
from urbancross_mm.inference.embedder import Embedder, Tower
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.registry import CURATION, MODELS, TRANSFORMS
from urbancross_mm.utils.hashing import file_digest, name_files, require_files

PARTS = ('raw', 'unit', None)
SEPARATORS = ';,.'
# Transforms that need more than the pixels of an image.
NOT_PIXELS = ('LoadFeatures', 'LoadSegments', 'LoadSegmentFolder')


class BaseScorer(ABC):
    """Puts images and texts into one space."""

    def check(self) -> None:  # noqa: B027
        """Check files and options before anything runs.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If an option does not fit.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What scores depend on, as short, plain JSON: options, hashes of model and pipeline."""

    @abstractmethod
    def begin(self, device: str) -> None:
        """Load the model.

        Args:
            device (str): Where it runs.
        """

    @abstractmethod
    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Encode images.

        Args:
            images (Sequence[np.ndarray]): uint8 RGB, each ``(H, W, 3)`` of any size.

        Shape:
            - output: ``(N, D)``.

        Returns:
            np.ndarray: fp32 rows of unit length.
        """

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts of any length.

        Args:
            texts (Sequence[str]): N texts.

        Shape:
            - output: ``(N, D)``.

        Returns:
            np.ndarray: fp32 rows of unit length.
        """

    def count_cut(self, texts: Collection[str]) -> int:
        """Count the texts whose end is cut, as far as the scorer can tell.

        Args:
            texts (Collection[str]): Distinct texts.

        Returns:
            int: 0 as long as no model is loaded.
        """
        return 0


@CURATION.register_module()
class RetrieverScorer(BaseScorer):
    """The image and text tower of any retriever of this project.

    Args:
        model (Mapping): Config of the retriever.
        pipeline (Sequence[Mapping]): Its test pipeline, with ``TokenizeText``. ``LoadImage`` is
            skipped, because the images are already in memory.
        checkpoint (str, optional): Of the retriever. Defaults to None: the weights that the
            config of the model names.
        parts (str, optional): A text is split at ``;,.``, and its vector is the mean over
            the parts: of the text tower's features before normalization with ``'raw'``, as
            published, or of unit vectors with ``'unit'``. None encodes the text as a whole.
            A part that is longer than the context is cut. Defaults to 'raw'.
        batch_size (int): Images per forward pass, at most. Defaults to 64.

    Raises:
        ValueError: If an option is unknown, or the pipeline does not start from pixels or has no
            tokenizer.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241) scores by the parts of a text.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        pipeline: Sequence[Mapping[str, Any]],
        checkpoint: str | None = None,
        parts: str | None = 'raw',
        batch_size: int = 64,
    ) -> None:
        if parts not in PARTS:
            raise ValueError(f'parts must be one of {PARTS}, got {parts!r}')
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        names = [_type_of(step) for step in pipeline]
        if set(names) & set(NOT_PIXELS) or 'TokenizeText' not in names:
            raise ValueError(
                f'the pipeline of a scorer starts from pixels and has TokenizeText; got {names}'
            )
        self.model_cfg = dict(model)
        # Without LoadImage, which settings() never counted: records of earlier runs stay valid.
        self.steps = [dict(step) for step, name in zip(pipeline, names) if name != 'LoadImage']
        self.checkpoint, self.parts = checkpoint, parts
        self.batch_size = batch_size
        self._embedder: Embedder | None = None
        self._text_tower: Tower | None = None

    def check(self) -> None:
        """Check that the files and types of model, pipeline and checkpoint exist."""
        require_files([self.checkpoint or '', self.model_cfg, self.steps], 'RetrieverScorer')
        for registry, part in ((MODELS, self.model_cfg), *((TRANSFORMS, s) for s in self.steps)):
            if isinstance(part['type'], str) and registry.get(part['type']) is None:
                raise ValueError(f'{part["type"]!r} is not a registered {registry.name}')

    def settings(self) -> dict[str, Any]:
        """Hashes of the model with its weights and of the pipeline, and how texts are split."""
        weights = file_digest(self.checkpoint) if self.checkpoint else None
        return dict(
            scorer=type(self).__name__,
            pipeline=digest(name_files(self.steps)),
            model=digest(name_files(self.model_cfg), weights),
            parts=self.parts,
            **(dict(separators=SEPARATORS) if self.parts else {}),
        )

    def begin(self, device: str) -> None:
        """Load the model, and refuse one that scores pairs."""
        self._embedder = Embedder(
            self.model_cfg, self.steps, self.checkpoint, device, self.batch_size
        )
        check_comparable(self._embedder.model, type(self).__name__)
        self._text_tower = _find_text_tower(self._embedder.model, self.parts)

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Encode images, at most ``batch_size`` at once."""
        embedder = self._loaded()
        # The tower itself: at test time a model may also ask for segments, which are not here.
        return _unit_rows([embedder.encode_images(images, embedder.model.encode_image)])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts one at a time, so that no vector depends on the other texts."""
        return _unit_rows([self._encode_text(text) for text in texts])

    def count_cut(self, texts: Collection[str]) -> int:
        """Count the texts of which a part has more tokens than the tokenizer takes."""
        is_cut = getattr(getattr(self._embedder, 'tokenizer', None), 'is_cut', None)
        return 0 if is_cut is None else sum(any(map(is_cut, self._pieces(t))) for t in texts)

    def _pieces(self, text: str) -> list[str]:
        return split_parts(text) if self.parts else [text]

    def _encode_text(self, text: str) -> Tensor:
        pieces = self._pieces(text)
        # In one pass: no vector depends on batch_size, which settings() does not count.
        rows = self._loaded().encode_texts(pieces, self._text_tower, batch_size=len(pieces))
        return rows.mean(dim=0, keepdim=True)

    def _loaded(self) -> Embedder:
        if self._embedder is None:
            raise RuntimeError('call begin(device) before encoding')
        return self._embedder


def split_parts(text: str) -> list[str]:
    """Split a text at ``;``, ``,`` and ``.``.

    Args:
        text (str): A caption.

    Returns:
        list[str]: Its parts without surrounding blanks; the text itself if it has none.
    """
    parts = [part.strip() for part in re.split(f'[{SEPARATORS}]', text)]
    return [part for part in parts if part] or [text]


def _type_of(step: Mapping[str, Any]) -> str:
    kind = step['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]


def _find_text_tower(model: nn.Module, parts: str | None) -> Tower | None:
    """The text tower itself for raw features; None for the model's own, which normalizes."""
    if parts != 'raw':
        return None
    tower = getattr(model, 'text_encoder', None)
    # After MCRN's encoders comes a shared encoding.
    if isinstance(tower, nn.Module) and getattr(model, 'shared', None) is None:
        return tower
    raise ValueError(
        f'{type(model).__name__} has no text_encoder whose features could be averaged before '
        "normalization: set parts='unit' or parts=None"
    )


def _unit_rows(rows: Sequence[Tensor]) -> np.ndarray:
    if not rows:
        return np.zeros((0, 0), dtype=np.float32)
    return nn.functional.normalize(torch.cat(list(rows)).float(), dim=1).cpu().numpy()
