"""How rows of a transformers tokenizer are padded; tokenizer and encoder must agree on it."""

from __future__ import annotations

from typing import Any


def padding_id(tokenizer: Any) -> int:
    """Find the id that fills up rows.

    Args:
        tokenizer (PreTrainedTokenizerBase): A tokenizer of transformers.

    Returns:
        int: Its padding id; without one its end id, as GPT-2 is padded; without both an id of its
        own behind the vocabulary, which no text can hold.
    """
    for token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return token_id
    return len(tokenizer)


def closing_paddings(tokenizer: Any, pad_id: int) -> int:
    """Count the padding ids that end every text before padding begins.

    CLIP and SigLIP pad with the token that ends a text: there it is 1, elsewhere 0.

    Args:
        tokenizer (PreTrainedTokenizerBase): A tokenizer of transformers.
        pad_id (int): Id that fills up rows.

    Returns:
        int: How many of them belong to the text.
    """
    ids = tokenizer('a')['input_ids']
    return next((k for k, token_id in enumerate(reversed(ids)) if token_id != pad_id), 0)
