"""Small text encoders on word ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from urbancross_mm.models.encoders.base import BaseEncoder, TokenLimits
from urbancross_mm.registry import MODELS, TOKENIZERS

POOLS = ('last', 'mean', 'max')


class WordEncoder(BaseEncoder):
    """Word vectors, and where the padding is.

    Padding stands at the end of a row. How much of it there is never changes an embedding; a row
    of nothing but padding is one word with a zero vector. A subclass writes ``pooled`` and sets
    ``projection``.
    """

    projection: nn.Linear

    def __init__(
        self,
        tokenizer: dict[str, Any] | None,
        vocab_size: int | None,
        embed_dim: int,
        word_dim: int,
        dropout: float,
        init_cfg: dict[str, Any] | None,
    ) -> None:
        super().__init__(init_cfg)
        if (tokenizer is None) == (vocab_size is None):
            raise ValueError(
                f'{type(self).__name__} needs a tokenizer or a vocab_size, and not both; got '
                f'tokenizer={tokenizer!r}, vocab_size={vocab_size!r}'
            )
        self.pad_id = 0
        if tokenizer is not None:
            built = TOKENIZERS.build(tokenizer) if isinstance(tokenizer, dict) else tokenizer
            vocab_size, self.pad_id = built.vocab_size, built.pad_id
        self.embed_dim = embed_dim
        self.words = nn.Embedding(cast(int, vocab_size), word_dim, padding_idx=self.pad_id)
        self.dropout = nn.Dropout(dropout)

    def token_limits(self) -> TokenLimits:
        """As many ids as there are word vectors."""
        return TokenLimits(self.words.num_embeddings, self.pad_id)

    def lengths(self, tokens: Tensor) -> Tensor:
        """Number of words of each row, at least 1: (N, L) -> (N,)."""
        # Only the padding at the end: a model's end token may pad and begin a text as well.
        position = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        return ((tokens != self.pad_id) * position).amax(dim=1).clamp(min=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features of texts, not normalized.

        Args:
            tokens (Tensor): Word ids.

        Shape:
            (N, L) -> (N, D).

        Returns:
            Tensor: One vector per text.
        """
        return self.projection(self.dropout(self.pooled(tokens)))


@MODELS.register_module()
class GRUTextEncoder(WordEncoder):
    """Word vectors, a GRU, pooling and a projection.

    Args:
        tokenizer (dict, optional): Config of the tokenizer, for vocabulary and padding id.
            Defaults to None; then ``vocab_size`` is needed.
        embed_dim (int): Width of the embedding. Defaults to 512.
        word_dim (int): Width of the word vectors. Defaults to 300.
        hidden_dim (int): Width of the state, of each direction. Defaults to 512.
        num_layers (int): Layers of the GRU. Defaults to 1.
        bidirectional (bool): Read both ways. Defaults to True.
        pool (str): ``'last'`` (final states), ``'mean'`` or ``'max'`` over the words.
            Defaults to 'last'.
        dropout (float): Dropout of word vectors and pooled state. Defaults to 0.0.
        vocab_size (int, optional): Instead of a tokenizer; padding is then 0. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If ``pool`` is unknown, or not exactly one of tokenizer and vocab_size given.
    """

    def __init__(
        self,
        tokenizer: dict[str, Any] | None = None,
        embed_dim: int = 512,
        word_dim: int = 300,
        hidden_dim: int = 512,
        num_layers: int = 1,
        bidirectional: bool = True,
        pool: str = 'last',
        dropout: float = 0.0,
        vocab_size: int | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(tokenizer, vocab_size, embed_dim, word_dim, dropout, init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {POOLS}, got {pool!r}')
        self.pool = pool
        self.gru = nn.GRU(
            word_dim, hidden_dim, num_layers, batch_first=True, bidirectional=bidirectional
        )
        self.projection = nn.Linear(hidden_dim * (1 + bidirectional), embed_dim)

    def pooled(self, tokens: Tensor) -> Tensor:
        """Features before the projection.

        Args:
            tokens (Tensor): Word ids.

        Shape:
            (N, L) -> (N, C).

        Returns:
            Tensor: One vector per text.
        """
        packed = pack_padded_sequence(
            self.dropout(self.words(tokens)),
            self.lengths(tokens).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        states, last = self.gru(packed)
        return self._pool(states, last)

    def _pool(self, states: torch.nn.utils.rnn.PackedSequence, last: Tensor) -> Tensor:
        if self.pool == 'last':
            directions = 2 if self.gru.bidirectional else 1
            return torch.cat(tuple(last[-directions:]), dim=-1)
        filler = 0.0 if self.pool == 'mean' else float('-inf')
        padded, lengths = pad_packed_sequence(states, batch_first=True, padding_value=filler)
        if self.pool == 'max':
            return padded.amax(dim=1)
        return padded.sum(dim=1) / lengths.to(padded).unsqueeze(-1)


@MODELS.register_module()
class TextCNNEncoder(WordEncoder):
    """Word vectors, convolutions of several widths, the maximum over words, a projection.

    Args:
        tokenizer (dict, optional): Config of the tokenizer, for vocabulary and padding id.
            Defaults to None; then ``vocab_size`` is needed.
        embed_dim (int): Width of the embedding. Defaults to 512.
        word_dim (int): Width of the word vectors. Defaults to 300.
        num_filters (int): Filters of each width. Defaults to 256.
        kernel_sizes (Sequence[int]): Widths in words. Defaults to (1, 2, 3, 4).
        dropout (float): Dropout of word vectors and pooled features. Defaults to 0.0.
        vocab_size (int, optional): Instead of a tokenizer; padding is then 0. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If not exactly one of tokenizer and vocab_size is given.

    Reference:
        TextCNN (https://arxiv.org/abs/1408.5882).
    """

    def __init__(
        self,
        tokenizer: dict[str, Any] | None = None,
        embed_dim: int = 512,
        word_dim: int = 300,
        num_filters: int = 256,
        kernel_sizes: Sequence[int] = (1, 2, 3, 4),
        dropout: float = 0.0,
        vocab_size: int | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(tokenizer, vocab_size, embed_dim, word_dim, dropout, init_cfg)
        self.kernel_sizes = tuple(kernel_sizes)
        self.convs = nn.ModuleList(
            nn.Conv1d(word_dim, num_filters, size) for size in self.kernel_sizes
        )
        self.projection = nn.Linear(num_filters * len(self.kernel_sizes), embed_dim)

    def pooled(self, tokens: Tensor) -> Tensor:
        """Features before the projection.

        Args:
            tokens (Tensor): Word ids.

        Shape:
            (N, L) -> (N, C).

        Returns:
            Tensor: One vector per text.
        """
        words = self.dropout(self.words(tokens)).transpose(1, 2)  # (N, C, L)
        position = torch.arange(tokens.shape[1], device=tokens.device)
        beyond = position >= self.lengths(tokens).unsqueeze(1)  # (N, L)
        # Each window starts at a word and may reach into the zeros behind the last one, so short
        # texts have as many windows as words whatever the padding.
        feats = [
            conv(nn.functional.pad(words, (0, size - 1)))
            .relu()
            .masked_fill(beyond.unsqueeze(1), 0.0)
            .amax(dim=-1)
            for conv, size in zip(self.convs, self.kernel_sizes)
        ]
        return torch.cat(feats, dim=-1)
