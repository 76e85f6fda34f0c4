"""What every encoder shares."""

from __future__ import annotations

from typing import Any, NamedTuple

from mmengine.model import BaseModule
from torch import Tensor

from urbancross_mm.functional.sentences import mean_over_sentences


class TokenLimits(NamedTuple):
    """Which token ids an encoder of texts can read.

    Attributes:
        vocab_size (int | None): Number of ids, None for any.
        pad_id (int | None): Id of the padding, None for any.
        max_tokens (int | None): Tokens of the longest text, None for any number.
        exact (bool): Whether the tokenizer has just so many ids, or at most.
    """

    vocab_size: int | None = None
    pad_id: int | None = None
    max_tokens: int | None = None
    exact: bool = False


class BaseEncoder(BaseModule):
    """An encoder of one modality: ``forward`` gives (N, D) features that are not normalized.

    A subclass sets ``embed_dim`` (D) and calls :meth:`freeze` for the parts that do not train; one
    with a projection writes :meth:`pooled`. Texts that come sentence by sentence, as
    ``SentenceTokenizer`` writes them, ``(N, S, L)``, become the mean of their features.

    Args:
        init_cfg (dict | list[dict], optional): mmengine's initialization config.
            Defaults to None.
    """

    embed_dim: int

    def __init__(self, init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None) -> None:
        super().__init__(init_cfg)
        self._frozen_parts: list[str] = []

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Features (N, D) of what ``forward`` takes, or of texts (N, S, L)."""
        call = super().__call__
        return mean_over_sentences(lambda rows: call(rows, *args, **kwargs), inputs)

    def token_limits(self) -> TokenLimits:
        """Which token ids it reads; an encoder of texts says."""
        return TokenLimits()

    def pooled(self, inputs: Tensor) -> Tensor:
        """Features before the projection; without one, what ``forward`` gives.

        Args:
            inputs (Tensor): What ``forward`` takes.

        Shape:
            (N, ...) -> (N, C).

        Returns:
            Tensor: One vector per input.
        """
        return self(inputs)

    def freeze(self, part: str) -> None:
        """Take a child module out of training: no gradient, and ``eval`` for good.

        Args:
            part (str): Attribute name of the child.
        """
        getattr(self, part).requires_grad_(False)
        self._frozen_parts.append(part)

    def train(self, mode: bool = True) -> BaseEncoder:
        """Switch the mode; frozen parts stay in ``eval``.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            BaseEncoder: Itself.
        """
        super().train(mode)
        for part in self._frozen_parts:
            getattr(self, part).eval()
        return self
