"""Queries: the one that is asked, and lists of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.functional import similarity
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.utils.text_files import read_text

SHOWN_WORDS = 10  # of those that a vocabulary lacks


def encode_query(
    embedder: Embedder, text: str | None, image: str | Path | None, audio: str | Path | None
) -> Tensor:
    """Encode the one query that is given; warn of a text that is cut or has unknown words.

    Args:
        embedder (Embedder): The model.
        text (str | None): A text.
        image (str | Path | None): An image file.
        audio (str | Path | None): A recording.

    Shape:
        - output: ``(1, D)``.

    Returns:
        Tensor: Its embedding.

    Raises:
        ValueError: If not exactly one is given, or the text is empty.
    """
    if sum(query is not None for query in (text, image, audio)) != 1:
        raise ValueError(
            'give exactly one of a text, an image and a recording; '
            f'got {text!r}, {image!r} and {audio!r}'
        )
    if image is not None:
        rows = embedder.encode_images([image])
        return rows if embedder.model.score_pairs is None else similarity.normalize(rows)
    if audio is not None:
        return embedder.encode_audio([audio])
    return embedder.encode_texts([check_text(embedder.tokenizer, text)])


def check_text(tokenizer: Any, text: Any) -> str:
    """Refuse an empty text; warn of one that is cut or has unknown words.

    Args:
        tokenizer (Any): Of the model.
        text (Any): The query.

    Returns:
        str: The text.

    Raises:
        ValueError: If it is no text, or has no words.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f'a text query needs words, got {text!r}')
    for warning in text_warnings(tokenizer, text):
        print_log(warning, 'current', logging.WARNING)
    return text


def text_warnings(tokenizer: Any, text: str) -> list[str]:
    """What the model does not read of a text.

    Args:
        tokenizer (Any): Of the model.
        text (str): The query.

    Returns:
        list[str]: One sentence each for an end that is cut and for unknown words.
    """
    warnings = []
    if hasattr(tokenizer, 'is_cut') and tokenizer.is_cut(text):
        warnings.append(
            f'the query is longer than the {tokenizer.context_length} tokens that the model '
            f'reads: its end is cut ({text:.40}...)'
        )
    unknown = tokenizer.unknown_words(text) if hasattr(tokenizer, 'unknown_words') else []
    if unknown:
        shown = ', '.join(map(repr, unknown[:SHOWN_WORDS]))
        more = f' and {len(unknown) - SHOWN_WORDS} more' if len(unknown) > SHOWN_WORDS else ''
        warnings.append(f'the vocabulary of the model does not know {shown}{more}: use other words')
    return warnings


def encode_prompts(embedder: Embedder, text: str, templates: Sequence[str]) -> Tensor:
    """Encode one text as the mean of prompts.

    Args:
        embedder (Embedder): The model.
        text (str): The text.
        templates (Sequence[str]): Each with ``{}`` for the text.

    Shape:
        - output: ``(D,)``, unit length.

    Returns:
        Tensor: Its embedding.

    Raises:
        ValueError: If the text is empty.
    """
    check_text(embedder.tokenizer, text)
    prompts = [template.replace('{}', text) for template in templates]
    rows = similarity.normalize(embedder.encode_texts(prompts))
    return similarity.normalize(rows.mean(dim=0))


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Check prompt templates.

    Args:
        templates (Sequence[str]): Each with ``{}`` for the text.

    Returns:
        tuple[str, ...]: The same.

    Raises:
        ValueError: If there is none, or one lacks ``{}``.
    """
    if isinstance(templates, str) or not templates:
        raise ValueError(f'templates must be a list of at least one, got {templates!r}')
    for template in templates:
        if '{}' not in template:
            raise ValueError(
                f'the template {template!r} lacks {{}}, which stands for the text, as in '
                "'an aerial image of {}'"
            )
    return tuple(templates)


def read_queries(bank: str | Path | Sequence[str]) -> list[str]:
    """List the texts of a bank.

    Args:
        bank (str | Path | Sequence[str]): Texts; or a file of texts, one a line; or an annotation
            file, ``.json`` or ``.parquet``, for its captions.

    Returns:
        list[str]: Each once.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no text, or something else than a text.
    """
    texts: Sequence[Any]
    if not isinstance(bank, str | Path):
        texts = bank
    elif Path(bank).suffix in ('.json', '.parquet'):
        items = load_annotations(str(bank), captions_required=False)[1]
        texts = [text for item in items for text in item['captions']]
    else:
        texts = [line.strip() for line in read_text(bank).splitlines() if line.strip()]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f'the bank of queries needs texts, got {len(texts)} of {str(bank)[:80]!r}')
    return list(dict.fromkeys(texts))
