"""Long texts, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urbancross_mm.datasets.tokenizers import CACHE_SIZE, BaseTokenizer
from urbancross_mm.functional.sentences import NO_SENTENCE
from urbancross_mm.registry import TOKENIZERS

# Behind the end of a sentence, also of one without a blank behind it, as in Chinese.
_BETWEEN = re.compile(r'(?<=[.!?;])\s+|(?<=[。！？；])\s*|\n+')


@TOKENIZERS.register_module()
class SentenceTokenizer(BaseTokenizer):
    """Another tokenizer, for texts that are longer than a model reads.

    A text that fits stays whole. One that does not becomes its sentences, and every encoder of
    texts gives the mean of their features, in training and in a search. A sentence that does not
    fit either is halved between its words.

    Args:
        tokenizer (dict | BaseTokenizer): The tokenizer of the model.
        max_sentences (int): S, sentences per text; the end of a text with more is cut. Defaults
            to 8.

    Raises:
        ValueError: If ``max_sentences`` is not positive.

    Examples:
        >>> dict(type='TokenizeText', tokenizer=dict(
        ...     type='SentenceTokenizer', tokenizer=dict(type='OpenCLIPTokenizer')))
    """

    def __init__(self, tokenizer: dict[str, Any] | BaseTokenizer, max_sentences: int = 8) -> None:
        if max_sentences < 1:
            raise ValueError(f'max_sentences must be at least 1, got {max_sentences}')
        self.inner = TOKENIZERS.build(tokenizer) if isinstance(tokenizer, dict) else tokenizer
        self.max_sentences = max_sentences
        super().__init__(self.inner.context_length, self.inner.vocab_size, self.inner.pad_id)
        self.longest = self.inner.longest

    def encode(self, text: str) -> list[int]:
        """Ids of a text as the inner tokenizer writes them, cut where it cuts them."""
        return self.inner.encode(text)

    def sentences(self, text: str) -> list[str]:
        """Split a text into parts that fit.

        Args:
            text (str): A text.

        Returns:
            list[str]: The text itself where it fits; all of its parts, however many there are.
        """
        if not self.inner.is_cut(text):
            return [text]
        parts = [part for part in _BETWEEN.split(text.strip()) if part]
        if len(parts) < 2:
            words = text.split()
            half = len(words) // 2
            parts = [' '.join(words[:half]), ' '.join(words[half:])] if half else []
        return [piece for part in parts for piece in self.sentences(part)] or [text]

    def is_cut(self, text: str) -> bool:
        """Whether sentences are left out, or a single word is too long.

        Args:
            text (str): A text.

        Returns:
            bool: True if a part of it is lost.
        """
        parts = self.sentences(text)
        return len(parts) > self.max_sentences or any(map(self.inner.is_cut, parts))

    def unknown_words(self, text: str) -> list[str]:
        """What the inner tokenizer does not know.

        Args:
            text (str): A text.

        Returns:
            list[str]: Words.
        """
        return self.inner.unknown_words(text)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Tokenize.

        Args:
            texts (Sequence[str]): C texts.

        Shape:
            - output: ``(C, S, L)``; rows of -1 where a text has fewer sentences.

        Returns:
            Tensor: Long token ids.
        """
        texts = [texts] if isinstance(texts, str) else texts
        shape = (len(texts), self.max_sentences, self.context_length)
        rows = np.full(shape, NO_SENTENCE, dtype=np.int64)
        for row, text in zip(rows, texts):
            found = self._remember(text)
            row[: len(found)] = found
        return torch.from_numpy(rows)

    def _remember(self, text: str) -> np.ndarray:
        rows = self._cache.get(text)
        if rows is None:
            rows = self.inner(self.sentences(text)[: self.max_sentences]).numpy().astype(np.int32)
            if len(self._cache) < CACHE_SIZE:
                self._cache[text] = rows
        return rows
