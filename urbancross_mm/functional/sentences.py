"""Texts that come sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

# Fills the rows of a text that has fewer sentences; no tokenizer has such an id.
NO_SENTENCE = -1


def mean_over_sentences(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Encode texts; those that come as several sentences become the mean of their features.

    Args:
        encode (Callable): Encodes rows of token ids, ``(N, L) -> (N, D)``.
        inputs (Tensor): Token ids; rows of :data:`NO_SENTENCE` are no sentences. What is no
            integer tensor of three dimensions goes to ``encode`` as it is.

    Shape:
        (M, S, L) -> (M, D).

    Returns:
        Tensor: One vector per text.
    """
    if inputs.dim() != 3 or inputs.is_floating_point():
        return encode(inputs)
    there = inputs[..., 0] != NO_SENTENCE  # (M, S)
    feats = encode(inputs[there])
    total = feats.new_zeros(len(inputs), feats.shape[1])
    total = total.index_add(0, there.nonzero()[:, 0], feats)
    return total / there.sum(dim=1, keepdim=True)
