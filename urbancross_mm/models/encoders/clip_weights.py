"""Finding and loading the weights of open_clip models."""

from __future__ import annotations

import logging
import os
import textwrap
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from urbancross_mm.utils.checkpoints import read_state_dict

SCHEMAS = ('hf-hub:', 'local-dir:')
WEIGHT_SUFFIXES = ('.pt', '.pth', '.bin', '.safetensors')
# Under which open_clip saves into a folder, best first.
FOLDER_WEIGHTS = (
    'open_clip_model.safetensors',
    'open_clip_pytorch_model.safetensors',
    'open_clip_pytorch_model.bin',
    'open_clip_pytorch_model.pth',
    'model.safetensors',
    'pytorch_model.bin',
    'pytorch_model.pth',
    'model.pth',
)
# Of both towers together; and what OpenAI's models say about themselves among their weights.
JOINT = ('logit_scale', 'logit_bias')
NO_WEIGHTS = ('input_resolution', 'context_length', 'vocab_size', *JOINT)


def find_weights(model_name: str | None, pretrained: str | None) -> tuple[str | None, bool]:
    """Find the weights on disk, or download them.

    Args:
        model_name (str, optional): None for a model that is given by its config.
        pretrained (str, optional): File, tag, or None.

    Returns:
        tuple[str | None, bool]: Their path, and whether their tag asks for QuickGELU.

    Raises:
        ValueError: If the tag is unknown.
        FileNotFoundError: If the weights are neither on disk nor to be downloaded.
    """
    in_folder = model_name is not None and model_name.startswith(SCHEMAS)
    if pretrained is None:
        return (_folder_weights(str(model_name)) if in_folder else None), False
    if os.path.isfile(pretrained):
        return pretrained, False
    if pretrained.endswith(WEIGHT_SUFFIXES) or os.sep in pretrained:
        raise FileNotFoundError(
            f'no weights file {pretrained!r} (looked for {os.path.abspath(pretrained)!r}); '
            '--sample runs without weights'
        )
    if model_name is None or in_folder:
        raise ValueError(
            f'pretrained={pretrained!r} is no file, and only models with a name have tags'
        )
    return _download(model_name, pretrained)


def load_weights(model: nn.Module, path: str, what: str) -> None:
    """Load the weights of a whole model, whatever layout they were saved in.

    Args:
        model (nn.Module): A ``CustomTextCLIP``.
        path (str): File of ``torch.save``, safetensors, or of big_vision (``.npz``).
        what (str): Name of the model, for messages.

    Raises:
        ValueError: If the file cannot be read, or holds another model's weights.
    """
    try:
        if Path(path).suffix in ('.npz', '.npy'):
            import open_clip

            open_clip.load_checkpoint(model, path)
        else:
            model.load_state_dict(_converted(model, read_state_dict(path)))
    # What the conversions and load_state_dict raise, besides the reader's ValueError.
    except (ValueError, RuntimeError, AttributeError, KeyError, AssertionError) as error:
        why = ValueError(str(error).removeprefix(f'cannot read the checkpoint {path}: '))
        raise ValueError(f'{path!r} does not hold weights of {what}: {reason(why)}') from error


def reason(error: Exception) -> str:
    """The text of an error in one line.

    Args:
        error (Exception): Any.

    Returns:
        str: At most 200 characters of it; its kind if it says nothing.
    """
    text = str(error).strip()
    if isinstance(error, OSError):  # advice on networks follows
        text = text.partition('\n')[0]
    return textwrap.shorten(text, 200, placeholder=' ...').rstrip('.') or type(error).__name__


def _converted(model: nn.Module, weights: dict[str, Any]) -> dict[str, Any]:
    """Weights under the names and in the sizes of the model."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import (
        convert_to_custom_text_state_dict,
        resize_pos_embed,
        resize_text_pos_embed,
    )

    weights = convert_state_dict(model, weights)
    if 'positional_embedding' in weights:
        weights = convert_to_custom_text_state_dict(weights)
    own = model.state_dict()
    # CoCa's decoder is not part of the towers; transformers used to save its position ids.
    weights = {
        name: value
        for name, value in weights.items()
        if name not in NO_WEIGHTS
        and not name.startswith('text_decoder.')
        and (name in own or not name.endswith('.position_ids'))
    }
    resize_pos_embed(weights, model)
    resize_text_pos_embed(weights, model)
    return {**weights, **{name: own[name] for name in JOINT if name in own}}


def _folder_weights(model_name: str) -> str | None:
    schema, _, location = model_name.partition(':')
    if schema == 'hf-hub':
        return _download_folder(model_name, location)
    names = sorted(
        path.name
        for path in Path(location).iterdir()
        if path.suffix in WEIGHT_SUFFIXES and path.is_file()
    )
    named = [name for name in FOLDER_WEIGHTS if name in names]
    if not names:
        print_log(
            f'{location!r} holds no weights: {model_name!r} starts from random ones',
            logger='current',
            level=logging.WARNING,
        )
        return None
    if not named and len(names) > 1:
        raise ValueError(
            f'the folder of {model_name!r} holds several weights files '
            f'({", ".join(names[:4])}), none under a name of open_clip '
            f'({FOLDER_WEIGHTS[0]}): set pretrained to one of them'
        )
    return os.path.join(location, (named or names)[0])


def _download_folder(model_name: str, repository: str) -> str:
    from open_clip.pretrained import download_pretrained_from_hf

    try:
        return download_pretrained_from_hf(repository)
    except (OSError, RuntimeError, ValueError) as error:
        raise FileNotFoundError(
            f'the weights of {model_name!r} are not on this machine and could not be downloaded '
            f'({reason(error)}): connect once, or set pretrained to a local .pt or '
            '.safetensors file; --sample runs without weights'
        ) from error


def _download(model_name: str, tag: str) -> tuple[str, bool]:
    import open_clip

    name = model_name.replace('/', '-')
    weights_cfg = open_clip.get_pretrained_cfg(name, tag)
    if not weights_cfg:
        tags = ', '.join(open_clip.list_pretrained_tags_by_model(name)) or 'none'
        raise ValueError(
            f'unknown weights {tag!r} of open_clip model {model_name!r}; its tags: {tags}'
        )
    try:
        return open_clip.download_pretrained(weights_cfg), weights_cfg.get('quick_gelu', False)
    # Hub, urllib and requests each raise errors of their own; all mean the same to the user.
    except (OSError, RuntimeError, ValueError) as error:
        raise FileNotFoundError(
            f'the weights {tag!r} of open_clip model {model_name!r} are not on this machine and '
            f'could not be downloaded ({reason(error)}): connect once, or set pretrained to '
            'a local .pt or .safetensors file; --sample runs without weights'
        ) from error
