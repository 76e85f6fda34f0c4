"""Precomputed features of captions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from urbancross_mm.datasets.feature_files import FeatureFiles
from urbancross_mm.registry import TOKENIZERS


@TOKENIZERS.register_module()
class FeatureTokenizer:
    """Looks captions up in a feature file, instead of a tokenizer.

    It knows only the captions of its dataset, exactly as written. So its model can be trained and
    tested, but not searched with other queries.

    Args:
        file (str | Sequence[str]): An ``.npz`` file of ``tools/misc/extract_features.py``, or
            several of one encoder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a feature file, none holds a caption, or files come from different
            encoders.
    """

    def __init__(self, file: str | Sequence[str]) -> None:
        self.file = file
        self._features = FeatureFiles(file)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Look captions up.

        Args:
            texts (Sequence[str]): n captions.

        Shape:
            - output: ``(n, C)``, for no captions ``(0, C)``.

        Returns:
            Tensor: float32 features.
        """
        texts = [texts] if isinstance(texts, str) else texts
        return torch.from_numpy(self._features.texts(texts))
