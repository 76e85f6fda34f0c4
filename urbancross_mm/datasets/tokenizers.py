"""Tokenizers: a list of C strings to a long tensor ``(C, L)``."""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urbancross_mm.datasets.vocabulary import UNKNOWN, read_vocabulary, split_words
from urbancross_mm.registry import TOKENIZERS
from urbancross_mm.utils.hf_tokenizers import load_tokenizer, padding_id

CACHE_SIZE = 100_000


class BaseTokenizer(ABC):
    """Pads rows of token ids and remembers the captions it has seen.

    Captions come back every epoch, so each is tokenized once per process. The memory is bounded and
    is not pickled with the tokenizer.

    Args:
        context_length (int): L, tokens per text; longer texts are cut.
        vocab_size (int): Number of ids, padding included.
        pad_id (int): Id of the padding.
    """

    def __init__(self, context_length: int, vocab_size: int, pad_id: int) -> None:
        self.context_length = context_length
        self.longest = context_length  # tokens of a text, which a row may exceed
        self.vocab_size = vocab_size
        self.pad_id = pad_id
        self._cache: dict[str, np.ndarray] = {}

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token ids of one text, at most L of them."""

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than are taken; False where a tokenizer cannot tell.

        Args:
            text (str): A text.

        Returns:
            bool: True if its end is lost.
        """
        return False

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that mean nothing to the model.

        Args:
            text (str): A text.

        Returns:
            list[str]: Each once; none where a tokenizer spells words that it does not know.
        """
        return []

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Tokenize.

        Args:
            texts (Sequence[str]): C texts.

        Shape:
            - output: ``(C, L)``, for no texts ``(0, L)``.

        Returns:
            Tensor: Long token ids.
        """
        if isinstance(texts, str):
            texts = [texts]
        rows = np.full((len(texts), self.context_length), self.pad_id, dtype=np.int64)
        for row, text in zip(rows, texts):
            ids = self._remember(text)
            row[: len(ids)] = ids
        return torch.from_numpy(rows)

    def _remember(self, text: str) -> np.ndarray:
        ids = self._cache.get(text)
        if ids is None:
            ids = np.array(self.encode(text), dtype=np.int32)
            if len(self._cache) < CACHE_SIZE:
                self._cache[text] = ids
        return ids

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__, _cache={})


@TOKENIZERS.register_module()
class OpenCLIPTokenizer(BaseTokenizer):
    """The tokenizer of an open_clip model.

    The byte-pair vocabulary of the CLIP models comes with open_clip, so they need no network. A
    text that is too long is cut, and keeps its end token.

    Args:
        model_name (str): A name of open_clip, ``'local-dir:<folder>'`` or
            ``'hf-hub:<organization>/<name>'``. Defaults to 'ViT-B-16'.
        context_length (int | None): L. Defaults to None: that of the model, 77 for CLIP.

    Raises:
        ValueError: If open_clip knows no such model.
        OSError: If the tokenizer cannot be read from the folder, or from the Hugging Face
            hub.
    """

    def __init__(self, model_name: str = 'ViT-B-16', context_length: int | None = None) -> None:
        import open_clip

        elsewhere = model_name.startswith(('hf-hub:', 'local-dir:'))
        name = model_name if elsewhere else model_name.replace('/', '-')
        if not elsewhere and name not in open_clip.list_models():
            raise ValueError(
                f'open_clip knows no model {model_name!r}, see open_clip.list_models()'
            )
        try:
            self._tokenizer = open_clip.get_tokenizer(name, context_length=context_length)
        except (OSError, ValueError) as error:
            where = (
                ''
                if model_name.startswith('local-dir:')
                else '; it is not part of open_clip but of the Hugging Face hub'
            )
            raise OSError(
                f'tokenizer of {model_name!r} cannot be loaded{where}: {_first_line(error)}'
            ) from error
        inner = getattr(self._tokenizer, 'tokenizer', None)
        size = len(inner) if inner is not None else self._tokenizer.vocab_size
        super().__init__(
            self._tokenizer.context_length, size, getattr(inner, 'pad_token_id', None) or 0
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, padding included."""
        return self._tokenizer([text])[0].tolist()

    def is_cut(self, text: str) -> bool:
        """Whether more room would hold more tokens."""
        row = self([text])[0]
        if (row[-2:] == self.pad_id).all():  # one of them may be the end token, which some pad with
            return False
        wide = self._tokenizer([text], context_length=2 * self.context_length)[0]
        return bool((wide != self.pad_id).sum() > (row != self.pad_id).sum())


@TOKENIZERS.register_module()
class VocabTokenizer(BaseTokenizer):
    """Words by a fixed vocabulary, as in the published precomp folders.

    A text is put in lower case and split into runs of letters and digits (inner apostrophes and
    hyphens included); everything else separates. A word that the vocabulary lacks becomes
    ``<unk>``, and so does a text without a word, so no row is all padding. 0 is the padding.

    Args:
        vocab_file (str): JSON, either published ``{"word2idx": {word: id}, "idx2word": ...,
            "idx": ...}`` or the mapping ``{word: id}`` alone. Ids start at 1; ``<unk>`` is one
            of the words, the last as published.
        max_length (int): L, words per text. Defaults to 40.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no such mapping, or no ``<unk>``.
    """

    def __init__(self, vocab_file: str, max_length: int = 40) -> None:
        if not Path(vocab_file).is_file():
            raise FileNotFoundError(
                f'vocabulary not found: {Path(vocab_file).absolute()} (the converters in '
                'tools/dataset_converters write it beside the annotations; the flag --sample '
                'runs every config on generated data instead)'
            )
        self.word2idx = read_vocabulary(vocab_file)
        self._unknown = self.word2idx[UNKNOWN]
        super().__init__(max_length, max(self.word2idx.values()) + 1, 0)

    def encode(self, text: str) -> list[int]:
        """Ids of the first L words of a text."""
        words = split_words(text)[: self.context_length]
        return [self.word2idx.get(word, self._unknown) for word in words] or [self._unknown]

    def is_cut(self, text: str) -> bool:
        """Whether a text has more words than are taken."""
        return len(split_words(text)) > self.context_length

    def unknown_words(self, text: str) -> list[str]:
        """Words that the vocabulary lacks."""
        return [word for word in dict.fromkeys(split_words(text)) if word not in self.word2idx]


@TOKENIZERS.register_module()
class HuggingFaceTokenizer(BaseTokenizer):
    """The tokenizer of a transformers text model.

    Args:
        path (str): Folder of the model, or its name on the hub.
        max_length (int): L, tokens per text; a text is also cut to what the model reads. Defaults
            to 64.

    Raises:
        OSError: If there is no such folder and the hub does not answer.
    """

    def __init__(self, path: str, max_length: int = 64) -> None:
        try:
            self._tokenizer = load_tokenizer(path)
        except (OSError, ValueError) as error:
            kind = 'folder' if Path(path).is_dir() else 'name on the Hugging Face hub (no folder)'
            raise OSError(
                f'no tokenizer could be loaded from the {kind} {path!r}; without a '
                'network give the folder that the model was saved to, with its '
                f'tokenizer files: {_first_line(error)}'
            ) from error
        pad_id = padding_id(self._tokenizer)
        super().__init__(max_length, max(len(self._tokenizer), pad_id + 1), pad_id)
        self.longest = min(max_length, self._tokenizer.model_max_length)

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, with the model's special tokens."""
        return self._tokenizer(text, truncation=True, max_length=self.longest)['input_ids']

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than are taken, special ones included."""
        room = self.longest + 1
        return len(self._tokenizer(text, truncation=True, max_length=room)['input_ids']) == room


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return textwrap.shorten(line, 200, placeholder=' ...')
