"""Features of sentences that were computed beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.registry import TOKENIZERS


@TOKENIZERS.register_module()
class FeatureTokenizer:
    """Look sentences up in a file of features; stands where a tokenizer does.

    It knows the captions of its dataset to the letter and no other sentence, so a model behind
    it trains and tests but answers no free queries.

    Args:
        file (str): An ``.npz`` file of ``tools/misc/extract_features.py``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or does not hold a sentence.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._features = open_features(file)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Look up.

        Args:
            texts (Sequence[str]): n sentences.

        Shape:
            - output: ``(n, C)``, for no sentences ``(0, C)``.

        Returns:
            Tensor: float32 features.
        """
        texts = [texts] if isinstance(texts, str) else texts
        return torch.from_numpy(self._features.texts(texts))
