"""The sentence encoder of skip-thoughts, with a dropout that is drawn once per text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from urbancross_mm.models.encoders.skip_thoughts_weights import read_skip_thoughts
from urbancross_mm.models.encoders.text import WordEncoder
from urbancross_mm.registry import MODELS, TOKENIZERS


@MODELS.register_module()
class SkipThoughtsEncoder(WordEncoder):
    r"""Word vectors, a GRU without biases of the state, the last state, a projection and ReLU.

    .. math::
        r = \sigma(W_r x + b_r + U_r h), \quad z = \sigma(W_z x + b_z + U_z h)

        n = \tanh(W_n x + b_n + r \cdot U_n h), \quad h' = (1 - z) n + z h

    In training each of the six products reads its own dropped-out copy of x or h. What is dropped
    is drawn once per text and kept for all of its words.

    Args:
        tokenizer (dict, optional): Config of the tokenizer, for vocabulary and padding id.
            Defaults to None; then ``vocab_size`` is needed.
        embed_dim (int): Width of the embedding. Defaults to 512.
        weights_dir (str, optional): Folder of the published ``dictionary.txt``, ``utable.npy``
            and ``uni_skip.npz``. Needs a tokenizer with a vocabulary of words. Defaults to None:
            random weights.
        word_dim (int): Width of the word vectors. Defaults to 620, as published.
        hidden_dim (int): Width of the state. Defaults to 2400, as published.
        dropout (float): Share of x and of h that is dropped. Defaults to 0.25.
        vocab_size (int, optional): Instead of a tokenizer; padding is then 0. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        FileNotFoundError: If a published file is missing.
        ValueError: If a file does not fit, the tokenizer has no vocabulary of words, or not
            exactly one of tokenizer and vocab_size is given.

    Reference:
        Skip-Thought Vectors (https://arxiv.org/abs/1506.06726); dropout as in Gal and Ghahramani
        (https://arxiv.org/abs/1512.05287).
    """

    def __init__(
        self,
        tokenizer: dict[str, Any] | None = None,
        embed_dim: int = 512,
        weights_dir: str | None = None,
        word_dim: int = 620,
        hidden_dim: int = 2400,
        dropout: float = 0.25,
        vocab_size: int | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(tokenizer, dict):
            tokenizer = TOKENIZERS.build(tokenizer)
        super().__init__(tokenizer, vocab_size, embed_dim, word_dim, 0.0, init_cfg)
        self.hidden_dim = hidden_dim
        self.state_dropout = dropout
        # The three gates r, z, n stand below each other, as in torch.nn.GRU.
        self.input_gates = nn.Linear(word_dim, 3 * hidden_dim)
        self.state_gates = nn.Linear(hidden_dim, 3 * hidden_dim, bias=False)
        self.projection = nn.Linear(hidden_dim, embed_dim)
        if weights_dir is not None:
            words = getattr(tokenizer, 'word2idx', None)
            if words is None:
                raise ValueError(
                    f"weights_dir={weights_dir!r} needs tokenizer=dict(type='VocabTokenizer', ...)"
                    f': {type(tokenizer).__name__} has no words to look up'
                )
            weights = read_skip_thoughts(weights_dir, words, (*self.words.weight.shape, hidden_dim))
            weights['words.weight'][self.pad_id] = 0
            self.load_state_dict(weights, strict=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features of texts, not normalized.

        Args:
            tokens (Tensor): Word ids.

        Shape:
            (N, L) -> (N, D).

        Returns:
            Tensor: One vector per text, no value below 0.
        """
        return super().forward(tokens).relu()

    def pooled(self, tokens: Tensor) -> Tensor:
        """Features before the projection: the state after the last word.

        Args:
            tokens (Tensor): Word ids.

        Shape:
            (N, L) -> (N, C).

        Returns:
            Tensor: One vector per text.
        """
        words = pack_padded_sequence(
            self.words(tokens), self.lengths(tokens).cpu(), batch_first=True, enforce_sorted=False
        )
        # Longest text first: at each position the texts that still have a word are the first ones.
        counts = words.batch_sizes.tolist()
        state = words.data.new_zeros(len(tokens), self.hidden_dim)
        rows = torch.cat([torch.arange(count, device=tokens.device) for count in counts])
        word_mask = self._mask(len(tokens), words.data)
        if word_mask is not None:
            word_mask = word_mask[:, rows]
        state_mask = self._mask(len(tokens), state)
        gates = _gates(self.input_gates, words.data, word_mask)
        for inputs in gates.split(counts, dim=1):
            count = inputs.shape[1]
            mask = None if state_mask is None else state_mask[:, :count]
            new = self._step(inputs, state[:count], mask)
            state = torch.cat([new, state[count:]])
        return state[words.unsorted_indices]

    def _step(self, inputs: Tensor, state: Tensor, mask: Tensor | None) -> Tensor:
        """One word: inputs (3, N, C), state (N, C), mask (3, N, C) -> (N, C)."""
        states = _gates(self.state_gates, state, mask)
        reset, update = (inputs[:2] + states[:2]).sigmoid()
        new = (inputs[2] + reset * states[2]).tanh()
        return (1 - update) * new + update * state

    def _mask(self, texts: int, like: Tensor) -> Tensor | None:
        """What is dropped, (3, texts, C), and what is kept is scaled up; None if nothing is."""
        if not self.training or not self.state_dropout:
            return None
        return nn.functional.dropout(like.new_ones(3, texts, like.shape[1]), self.state_dropout)


def _gates(layer: nn.Linear, values: Tensor, mask: Tensor | None) -> Tensor:
    """A product for each gate, with a mask of its own: (N, C_in) -> (3, N, C)."""
    if mask is None:
        return layer(values).unflatten(1, (3, -1)).transpose(0, 1)
    gates = (values * mask) @ layer.weight.unflatten(0, (3, -1)).transpose(1, 2)
    return gates if layer.bias is None else gates + layer.bias.unflatten(0, (3, 1, -1))
