"""Captions to tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmcv.transforms import BaseTransform

from urbancross_mm.registry import TOKENIZERS, TRANSFORMS


@TRANSFORMS.register_module()
class TokenizeText(BaseTransform):
    """Tokenize the texts of an item.

    Needs ``texts`` (C strings). Adds ``text`` (long, ``(C, L)``; float features ``(C, D)`` with
    ``FeatureTokenizer``); C may be 0.

    Args:
        tokenizer (dict | Callable): Config of a registered tokenizer, or a callable that turns a
            list of C strings into such a tensor.
    """

    def __init__(self, tokenizer: dict | Callable) -> None:
        self.tokenizer = TOKENIZERS.build(tokenizer) if isinstance(tokenizer, dict) else tokenizer

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Tokenize."""
        results['text'] = self.tokenizer(results['texts'])
        return results
