"""How well an image and a text go together."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from urbancross_mm.curation.core.records import digest
from urbancross_mm.registry import CURATION, MODELS, SCOPE, TRANSFORMS
from urbancross_mm.utils.checkpoints import read_checkpoint, refuse_other_model
from urbancross_mm.utils.weights import file_digest, name_files, require_files

PARTS = ('raw', 'unit', None)
SEPARATORS = ';,.'
# What an image that is already in memory does not need, and what a scorer cannot feed.
LOADING, NOT_PIXELS = ('LoadImage',), ('LoadFeatures', 'LoadSegments', 'LoadSegmentFolder')


class BaseScorer(ABC):
    """Puts images and texts into one space."""

    def check(self) -> None:  # noqa: B027
        """Look, before anything runs, for what will be needed.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If an option does not fit.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What scores depend on: options, hashes of model and pipeline; short, plain JSON."""

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
        """Count the texts that are not read to their end, as far as the scorer can tell.

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
        pipeline (Sequence[Mapping]): Its test pipeline, with ``TokenizeText``; images come from
            memory, so ``LoadImage`` in it is passed over.
        checkpoint (str, optional): Of the retriever. Defaults to None: the weights that the
            config of the model names.
        parts (str, optional): A text is cut at ``separators``, and its vector is the mean over
            the parts: of the text tower's features before normalization with ``'raw'``, as
            published, or of unit vectors with ``'unit'``. None encodes the text as a whole.
            A part that is longer than the context is truncated. Defaults to 'raw'.
        separators (str): Characters. Defaults to ``';,.'``.
        batch_size (int): Images a forward pass, at most. Defaults to 64.

    Raises:
        ValueError: If an option is unknown, or the pipeline starts from no pixels or has no
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
        separators: str = SEPARATORS,
        batch_size: int = 64,
    ) -> None:
        if parts not in PARTS:
            raise ValueError(f'parts must be one of {PARTS}, got {parts!r}')
        if parts and not separators:
            raise ValueError(f'parts={parts!r} needs separators, got {separators!r}')
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        names = [_type_of(step) for step in pipeline]
        if set(names) & set(NOT_PIXELS) or 'TokenizeText' not in names:
            raise ValueError(
                f'the pipeline of a scorer starts from pixels and has TokenizeText; got {names}'
            )
        self.model_cfg = dict(model)
        self.steps = [dict(step) for step, name in zip(pipeline, names) if name not in LOADING]
        self.checkpoint, self.parts, self.separators = checkpoint, parts, separators
        self.batch_size = batch_size

    def check(self) -> None:
        """Look for the files that model, pipeline and checkpoint name, and for their types."""
        require_files([self.checkpoint or '', self.model_cfg, self.steps], 'RetrieverScorer')
        for registry, part in ((MODELS, self.model_cfg), *((TRANSFORMS, s) for s in self.steps)):
            if isinstance(part['type'], str) and registry.get(part['type']) is None:
                raise ValueError(f'{part["type"]!r} is no registered {registry.name}')

    def settings(self) -> dict[str, Any]:
        """Hashes of the model with its weights and of the pipeline, and how texts are cut."""
        weights = file_digest(self.checkpoint) if self.checkpoint else None
        return dict(
            scorer=type(self).__name__,
            pipeline=digest(name_files(self.steps)),
            model=digest(name_files(self.model_cfg), weights),
            parts=self.parts,
            **(dict(separators=self.separators) if self.parts else {}),
        )

    def begin(self, device: str) -> None:
        """Build the model and fill it."""
        # Weights that neither the config nor a checkpoint brings are at least the same each time.
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            # The scope is for what mmengine builds itself, such as the data preprocessor.
            model = MODELS.build(dict(self.model_cfg, _scope_=SCOPE))
            if self.checkpoint is None and hasattr(model, 'init_weights'):
                model.init_weights()
        if self.checkpoint is not None:
            content = read_checkpoint(self.checkpoint)
            found = content.get('state_dict', content)
            refuse_other_model(model, found, self.checkpoint)
            model.load_state_dict(found, strict=False)
        self.model = model.to(device).eval()
        self._transforms = [TRANSFORMS.build(step) for step in self.steps]
        self._tokenizer = next(
            step.tokenizer for step in self._transforms if hasattr(step, 'tokenizer')
        )
        self._text_features = self._find_text_features()

    @torch.no_grad()
    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Encode images, at most ``batch_size`` at once."""
        rows = []
        for start in range(0, len(images), self.batch_size):
            batch = [self._transform(one) for one in images[start : start + self.batch_size]]
            inputs = self.model.data_preprocessor(dict(inputs=dict(image=batch)), False)['inputs']
            rows.append(self.model.encode_image(inputs['image']))
        return _unit_rows(rows)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts, one at a time: no vector depends on the other texts by a rounding."""
        return _unit_rows([self._encode_text(text) for text in texts])

    def count_cut(self, texts: Collection[str]) -> int:
        """Count the texts of which a part has more tokens than the tokenizer takes."""
        is_cut = getattr(getattr(self, '_tokenizer', None), 'is_cut', None)
        return 0 if is_cut is None else sum(any(map(is_cut, self._pieces(one))) for one in texts)

    def _pieces(self, text: str) -> list[str]:
        return split_parts(text, self.separators) if self.parts else [text]

    def _encode_text(self, text: str) -> Tensor:
        batch = dict(inputs=dict(text=[self._tokenizer(self._pieces(text))]))
        tokens = self.model.data_preprocessor(batch, False)['inputs']['text']
        return self._text_features(tokens).float().mean(dim=0, keepdim=True)

    def _transform(self, image: np.ndarray) -> Tensor:
        """An image through the pipeline, as if it had been loaded from a file."""
        item = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2], texts=[])
        for step in self._transforms:
            item = step(item)
        return item['inputs']['image']

    def _find_text_features(self) -> Any:
        """What encodes token ids: the text tower itself, or the model, which normalizes."""
        if self.parts != 'raw':
            return self.model.encode_text
        tower = getattr(self.model, 'text_encoder', None)
        if isinstance(tower, nn.Module):
            return tower
        raise ValueError(
            f'{type(self.model).__name__} has no text_encoder whose features could be '
            "averaged before normalization: set parts='unit' or parts=None"
        )


def split_parts(text: str, separators: str = SEPARATORS) -> list[str]:
    """Cut a text at punctuation.

    Args:
        text (str): A caption.
        separators (str): Characters. Defaults to ``';,.'``.

    Returns:
        list[str]: Its parts without white space around; the text itself if it has none.
    """
    parts = [part.strip() for part in re.split(f'[{re.escape(separators)}]', text)]
    return [part for part in parts if part] or [text]


def _type_of(step: Mapping[str, Any]) -> str:
    kind = step['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]


def _unit_rows(rows: Sequence[Tensor]) -> np.ndarray:
    if not rows:
        return np.zeros((0, 0), dtype=np.float32)
    return nn.functional.normalize(torch.cat(list(rows)).float(), dim=1).cpu().numpy()
