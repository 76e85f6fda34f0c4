"""The tokenizer of a CLIP as files that the libraries tokenizers and transformers read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

# Of a folder of transformers, as far as it has them.
FILES = (
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'vocab.json',
    'merges.txt',
    'vocab.txt',
    'spiece.model',
    'sentencepiece.bpe.model',
)
# Open_clip calls them otherwise.
BEGIN, END = '<|startoftext|>', '<|endoftext|>'


def copy_tokenizer(source: Path, folder: Path) -> bool:
    """Copy the tokenizer from a folder of transformers.

    Args:
        source (Path): A folder, or a file.
        folder (Path): Where to.

    Returns:
        bool: Whether there was one.
    """
    found = [name for name in FILES if (source / name).is_file()]
    for name in found:
        if source.resolve() != folder.resolve():
            shutil.copyfile(source / name, folder / name)
    return bool(found)


def save_clip_tokenizer(folder: Path, text: Any) -> bool:
    """Write CLIP's byte-pair tokenizer, which comes with open_clip.

    Args:
        folder (Path): Where to.
        text (Any): With ``vocab_size`` and ``max_position_embeddings``.

    Returns:
        bool: False for a model of another vocabulary, for which nothing is written.
    """
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizerFast

    own = SimpleTokenizer()
    if text.vocab_size != own.vocab_size:
        return False
    words = {BEGIN: own.sot_token_id, END: own.eot_token_id}
    vocabulary = {w: n for w, n in own.encoder.items() if n not in own.all_special_ids}
    ranked = sorted(own.bpe_ranks, key=own.bpe_ranks.__getitem__)
    (folder / 'vocab.json').write_text(
        json.dumps({**vocabulary, **words}, ensure_ascii=False), 'utf-8'
    )
    merges = ['#version: 0.2', *(' '.join(pair) for pair in ranked)]
    (folder / 'merges.txt').write_text('\n'.join(merges) + '\n', 'utf-8')
    tokenizer = CLIPTokenizerFast(
        str(folder / 'vocab.json'),
        str(folder / 'merges.txt'),
        model_max_length=text.max_position_embeddings,
    )
    tokenizer.save_pretrained(folder)
    return True
