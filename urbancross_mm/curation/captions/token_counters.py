"""Counting the tokens of captions."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

from urbancross_mm.registry import CURATION
from urbancross_mm.utils.hashing import folder_digest
from urbancross_mm.utils.hf_tokenizers import load_tokenizer


class BaseTokenCounter(ABC):
    """Counts the tokens of a text for some model, without truncation."""

    def check(self) -> None:  # noqa: B027
        """Look for the files that are needed."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the counts depend on, as short plain JSON."""

    @abstractmethod
    def begin(self) -> None:
        """Load the vocabulary."""

    @abstractmethod
    def __call__(self, text: str) -> int:
        """Number of tokens of a text, with begin and end tokens."""


@CURATION.register_module()
class CLIPTokenCounter(BaseTokenCounter):
    """Counts with the byte-pair vocabulary of CLIP, which comes with open_clip."""

    def settings(self) -> dict[str, Any]:
        """Name of the vocabulary."""
        return dict(tokenizer='clip')

    def begin(self) -> None:
        """Load the vocabulary."""
        from open_clip.tokenizer import SimpleTokenizer

        self._encode = SimpleTokenizer().encode

    def __call__(self, text: str) -> int:
        """Number of tokens of a text, with begin and end tokens."""
        return len(self._encode(text)) + 2


@CURATION.register_module()
class HuggingFaceTokenCounter(BaseTokenCounter):
    """Counts with the tokenizer of a transformers model.

    Args:
        path (str): Local folder, or hub id of a model in the local cache.
    """

    def __init__(self, path: str) -> None:
        self.path = str(path)

    def check(self) -> None:
        """Load the tokenizer, which is small.

        Raises:
            FileNotFoundError: If the tokenizer is not on this machine.
        """
        self.begin()

    def settings(self) -> dict[str, Any]:
        """Hash of the folder, or the hub id."""
        local = os.path.isdir(self.path)
        return dict(tokenizer=folder_digest(self.path) if local else self.path)

    def begin(self) -> None:
        """Load the vocabulary."""
        try:
            self._tokenizer = load_tokenizer(self.path, local=True)
        except (OSError, ValueError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise FileNotFoundError(
                f'no tokenizer at {self.path!r} ({reason}): give a local '
                'folder with tokenizer files'
            ) from error

    def __call__(self, text: str) -> int:
        """Number of tokens of a text, with begin and end tokens."""
        return len(self._tokenizer(text, truncation=False, verbose=False)['input_ids'])
