"""Building and loading open_clip models, with one clear sentence for what goes wrong."""

from __future__ import annotations

import copy
import difflib
import os
import pickle
from typing import Any

from safetensors import SafetensorError
from torch import nn

SCHEMAS = ('hf-hub:', 'local-dir:')
WEIGHT_SUFFIXES = ('.pt', '.pth', '.bin', '.safetensors')
# What the loaders raise on a torn file, an empty one, a pickle with code, another model's weights.
LOAD_ERRORS = (
    RuntimeError, AttributeError, KeyError, StopIteration, EOFError, pickle.UnpicklingError,
    SafetensorError,
)


def build_clip(
    model_name: str | None,
    pretrained: str | None = None,
    model_cfg: dict[str, Any] | None = None,
    force_quick_gelu: bool = False,
    image_size: int | tuple[int, int] | None = None,
    context_length: int | None = None,
) -> tuple[nn.Module, int]:
    """Build an open_clip model with separate towers ``visual`` and ``text``, and load it.

    Args:
        model_name (str, optional): Name in ``open_clip.list_models()``.
        pretrained (str, optional): Tag, local file or None. Defaults to None.
        model_cfg (dict, optional): Replaces the name. Defaults to None.
        force_quick_gelu (bool): The activation of OpenAI's weights. Defaults to False.
        image_size (int | tuple, optional): Other than the model's own. Defaults to None.
        context_length (int, optional): Other than the model's own. Defaults to None.

    Returns:
        tuple[nn.Module, int]: The model and the width of its embeddings.

    Raises:
        ValueError: If the model or tag is unknown, or the file holds another model's weights.
        FileNotFoundError: If the weights are neither on disk nor to be downloaded.
    """
    import open_clip

    if model_cfg is None:
        _check_name(model_name)
    weights, quick_gelu = _find_weights(model_name, pretrained, model_cfg)
    overrides = (quick_gelu or force_quick_gelu, image_size, context_length)
    try:
        if model_cfg is not None:
            return _nameless(model_cfg, weights, *overrides), model_cfg['embed_dim']
        width = open_clip.get_model_config(model_name.replace('/', '-'))['embed_dim']
        return _named(model_name, weights, *overrides), width
    except LOAD_ERRORS as error:
        if weights is None:
            raise
        what = 'the given model_cfg' if model_cfg is not None else model_name
        reason = ' '.join(str(error).split())[:300]
        raise ValueError(f'{weights!r} does not hold weights of {what}: {reason}') from error


def without_weights(cfg: dict[str, Any]) -> dict[str, Any]:
    """The config of an open_clip encoder whose weights a checkpoint will bring.

    Args:
        cfg (dict): Config of an ``OpenCLIP...Encoder``.

    Returns:
        dict: The same network, ``pretrained=None``: nothing is downloaded or read. The activation
        that a tag implies stays.
    """
    import open_clip

    tag, name = cfg.get('pretrained'), (cfg.get('model_name') or 'ViT-B-16').replace('/', '-')
    found = open_clip.get_pretrained_cfg(name, tag) if tag and not os.path.isfile(tag) else {}
    return {
        **cfg, 'pretrained': None,
        'force_quick_gelu': bool(cfg.get('force_quick_gelu') or found.get('quick_gelu')),
    }


def _named(
    model_name: str,
    weights: str | None,
    quick_gelu: bool,
    image_size: int | tuple[int, int] | None,
    context_length: int | None,
) -> nn.Module:
    import open_clip

    return open_clip.create_model(
        model_name, weights, force_custom_text=True, force_quick_gelu=quick_gelu,
        force_image_size=image_size, force_context_length=context_length, pretrained_text=False,
    )


def _nameless(
    model_cfg: dict[str, Any],
    weights: str | None,
    quick_gelu: bool,
    image_size: int | tuple[int, int] | None,
    context_length: int | None,
) -> nn.Module:
    import open_clip

    cfg = copy.deepcopy(dict(model_cfg))
    cfg.pop('custom_text', None)
    cfg['quick_gelu'] = cfg.get('quick_gelu', False) or quick_gelu
    if image_size is not None:
        cfg['vision_cfg']['image_size'] = image_size
    if context_length is not None:
        cfg['text_cfg']['context_length'] = context_length
    model = open_clip.CustomTextCLIP(**cfg)
    if weights is not None:
        open_clip.load_checkpoint(model, weights)
    return model


def _check_name(model_name: str | None) -> None:
    import open_clip

    if not model_name:
        raise ValueError('an open_clip encoder needs model_name or model_cfg, got neither')
    known = open_clip.list_models()
    if model_name.startswith(SCHEMAS) or model_name.replace('/', '-') in known:
        return
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(model_name.lower(), lower, n=4, cutoff=0.5)
    hint = f'; near it: {", ".join(lower[name] for name in near)}' if near else ''
    raise ValueError(
        f'unknown open_clip model {model_name!r}, not in open_clip.list_models(){hint}'
    )


def _find_weights(
    model_name: str | None, pretrained: str | None, model_cfg: dict[str, Any] | None
) -> tuple[str | None, bool]:
    """Path of the weights on disk, and whether their tag asks for QuickGELU."""
    if pretrained is None or os.path.isfile(pretrained):
        return pretrained, False
    if pretrained.endswith(WEIGHT_SUFFIXES) or os.sep in pretrained:
        raise FileNotFoundError(
            f'no weights file {pretrained!r} (looked for {os.path.abspath(pretrained)!r}); '
            '--sample runs without weights'
        )
    if model_cfg is not None or model_name.startswith(SCHEMAS):
        raise ValueError(
            f'pretrained={pretrained!r} is no file, and only models with a name have tags'
        )
    return _download(model_name, pretrained)


def _download(model_name: str, tag: str) -> tuple[str, bool]:
    import open_clip

    name = model_name.replace('/', '-')
    found = open_clip.get_pretrained_cfg(name, tag)
    if not found:
        tags = ', '.join(open_clip.list_pretrained_tags_by_model(name)) or 'none'
        raise ValueError(
            f'unknown weights {tag!r} of open_clip model {model_name!r}; its tags: {tags}'
        )
    try:
        return open_clip.download_pretrained(found), found.get('quick_gelu', False)
    # Hub, urllib and requests each raise errors of their own; all mean the same to the user.
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise FileNotFoundError(
            f'the weights {tag!r} of open_clip model {model_name!r} are not on this machine and '
            f'could not be downloaded ({reason}): connect once, or set pretrained to a local '
            '.pt or .safetensors file; --sample runs without weights'
        ) from error
