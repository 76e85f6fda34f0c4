"""Finding the weights of open_clip models, on disk or on the hub."""

from __future__ import annotations

import logging
import os
import textwrap
from pathlib import Path

from mmengine.logging import print_log

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


def find_weights(model_name: str | None, pretrained: str | None) -> tuple[str | None, bool]:
    """Find the weights on disk, or download them.

    Args:
        model_name (str, optional): None for a model that is given by its config.
        pretrained (str, optional): File, folder of transformers, tag, or None.

    Returns:
        tuple[str | None, bool]: Their path, and whether their tag asks for QuickGELU.

    Raises:
        ValueError: If the tag is unknown.
        FileNotFoundError: If the weights are neither on disk nor to be downloaded.
    """
    in_folder = model_name is not None and model_name.startswith(SCHEMAS)
    if pretrained is None:
        return (_folder_weights(str(model_name)) if in_folder else None), False
    if is_local(pretrained):
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


def is_local(pretrained: str) -> bool:
    """Whether this names weights on disk, and no tag of open_clip.

    Args:
        pretrained (str): Tag, file, or folder of transformers.

    Returns:
        bool: A folder that happens to be called like a tag is none, unless it holds a model.
    """
    if os.path.isdir(pretrained):
        return os.sep in pretrained or os.path.isfile(os.path.join(pretrained, 'config.json'))
    return os.path.isfile(pretrained)


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


def _folder_weights(model_name: str) -> str | None:
    schema, _, location = model_name.partition(':')
    if schema == 'hf-hub':
        return _download_folder(model_name, location)
    found = weights_in(location, f'the folder of {model_name!r}')
    if found is None:
        print_log(
            f'{location!r} holds no weights: {model_name!r} starts from random ones',
            logger='current',
            level=logging.WARNING,
        )
    return found


def weights_in(folder: str, what: str) -> str | None:
    """The weights file of a folder.

    Args:
        folder (str): Of open_clip or transformers.
        what (str): How to call it in a message.

    Returns:
        str | None: Its path, or None.

    Raises:
        ValueError: If there are several, none of them under a name that the libraries use.
    """
    names = sorted(
        path.name
        for path in Path(folder).iterdir()
        if path.suffix in WEIGHT_SUFFIXES and path.is_file()
    )
    named = [name for name in FOLDER_WEIGHTS if name in names]
    if not named and len(names) > 1:
        raise ValueError(
            f'{what} holds several weights files '
            f'({", ".join(names[:4])}), none under a name of open_clip '
            f'({FOLDER_WEIGHTS[0]}): set pretrained to one of them'
        )
    return os.path.join(folder, (named or names)[0]) if names else None


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
