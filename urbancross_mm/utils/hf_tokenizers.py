"""Tokenizers of transformers: loaded without code of theirs, and how their rows are padded.

What makes the rows and what encodes them must agree on the padding.
"""

from __future__ import annotations

from typing import Any


def load_tokenizer(path: str, local: bool = False) -> Any:
    """Load a tokenizer; code in its folder is never run, and nobody is asked to allow it.

    Args:
        path (str): Folder, or name on the hub.
        local (bool): Do not look on the hub. Defaults to False.

    Returns:
        PreTrainedTokenizerBase: The tokenizer.

    Raises:
        OSError: If there is none.
        ValueError: If it is not of a kind that transformers knows, or its files are damaged.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=local, trust_remote_code=False)
    except (OSError, ValueError):
        raise
    # Each kind of tokenizer fails in its own way where a file is missing; a torn one raises even
    # a bare Exception.
    except Exception as error:
        raise ValueError(f'files are missing or damaged ({error})') from error


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


def token_types(tokenizer: Any) -> dict[int, int]:
    """Find the special tokens that a tokenizer gives a type of their own, as XLNet's ``<cls>``.

    Args:
        tokenizer (PreTrainedTokenizerBase | None): A tokenizer of transformers, if there is one.

    Returns:
        dict[int, int]: Type by token id; what is not named has type 0.
    """
    if tokenizer is None:
        return {}
    row = tokenizer('')
    types = row.get('token_type_ids', [0] * len(row['input_ids']))
    return {token_id: kind for token_id, kind in zip(row['input_ids'], types) if kind}
