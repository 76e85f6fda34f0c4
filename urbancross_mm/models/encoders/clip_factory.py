"""Building open_clip models, with a clear message if something is wrong."""

from __future__ import annotations

import copy
import difflib
from typing import Any

from mmengine.logging import print_log
from torch import nn

from urbancross_mm.models.encoders.clip_loading import load_weights
from urbancross_mm.models.encoders.clip_weights import SCHEMAS, find_weights, is_local, reason

CONFIG_KEYS = ('embed_dim', 'vision_cfg', 'text_cfg')
# What open_clip, timm and transformers raise where a config does not fit.
BUILD_ERRORS = (
    OSError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    ValueError,
)


def build_clip(
    model_name: str | None,
    pretrained: str | None = None,
    model_cfg: dict[str, Any] | None = None,
    force_quick_gelu: bool = False,
    image_size: int | tuple[int, int] | None = None,
    context_length: int | None = None,
    log: bool = True,
) -> tuple[nn.Module, int]:
    """Build an open_clip model with separate towers ``visual`` and ``text``, and load it.

    A CoCa model comes without its decoder: its towers give one vector each, as all others do.

    Args:
        model_name (str, optional): Name in ``open_clip.list_models()``, ``'local-dir:<folder>'``
            or ``'hf-hub:<organization>/<name>'``.
        pretrained (str, optional): Tag, local file or None: the weights of the folder, or random
            ones. Defaults to None.
        model_cfg (dict, optional): Replaces the name. Defaults to None.
        force_quick_gelu (bool): The activation of OpenAI's weights. Defaults to False.
        image_size (int | tuple, optional): Other than the model's own. Defaults to None.
        context_length (int, optional): Other than the model's own. Defaults to None.
        log (bool): Say in one line of the log what was loaded. Defaults to True.

    Returns:
        tuple[nn.Module, int]: The model and the width of its embeddings.

    Raises:
        ValueError: If the model or tag is unknown or cannot be built, or the file holds another
            model's weights.
        FileNotFoundError: If weights or configs are neither on disk nor to be downloaded.
    """
    cfg = model_config(model_name, model_cfg)
    what = 'the given model_cfg' if model_cfg is not None else str(model_name)
    weights, quick_gelu = find_weights(None if model_cfg is not None else model_name, pretrained)
    cfg['quick_gelu'] = bool(cfg.get('quick_gelu') or quick_gelu or force_quick_gelu)
    if image_size is not None:
        cfg['vision_cfg']['image_size'] = image_size
    if context_length is not None:
        cfg['text_cfg']['context_length'] = context_length
    model = _build(cfg, what)
    if weights is not None:
        report = load_weights(model, weights, what)
        if log:
            print_log(f'{what}: {report}', logger='current')
    if image_size is not None and hasattr(model.visual, 'set_input_size'):
        model.visual.set_input_size(image_size)  # timm resizes after loading
    return model, cfg['embed_dim']


def model_config(model_name: str | None, model_cfg: dict[str, Any] | None) -> dict[str, Any]:
    """Find the config of a model.

    Args:
        model_name (str, optional): As in :func:`build_clip`.
        model_cfg (dict, optional): Replaces the name.

    Returns:
        dict: A copy with ``embed_dim``, ``vision_cfg``, ``text_cfg``.

    Raises:
        ValueError: If the model is unknown, or its config is incomplete.
        FileNotFoundError: If the folder or the hub has no config.
    """
    if model_cfg is not None:
        cfg, what = copy.deepcopy(dict(model_cfg)), 'the given model_cfg'
    else:
        cfg, what = _named_config(model_name), f'the config of {model_name!r}'
    lacking = [key for key in CONFIG_KEYS if key not in cfg]
    if lacking:
        raise ValueError(
            f'{what} has no {", ".join(lacking)}; it holds {", ".join(cfg) or "nothing"}'
        )
    return cfg


def without_weights(cfg: dict[str, Any]) -> dict[str, Any]:
    """The config of an open_clip encoder whose weights a checkpoint will bring.

    Args:
        cfg (dict): Config of an ``OpenCLIP...Encoder``.

    Returns:
        dict: The same network, ``pretrained=None``: no weights are downloaded or read. The
        activation that a tag implies stays.
    """
    import open_clip

    name, tag = cfg.get('model_name') or 'ViT-B-16', cfg.get('pretrained')
    if name.startswith(SCHEMAS) and cfg.get('model_cfg') is None:
        return {**cfg, 'pretrained': None, 'model_cfg': model_config(name, None)}
    named = tag and not is_local(tag)
    weights_cfg = open_clip.get_pretrained_cfg(name.replace('/', '-'), tag) if named else {}
    return {
        **cfg,
        'pretrained': None,
        'force_quick_gelu': bool(cfg.get('force_quick_gelu') or weights_cfg.get('quick_gelu')),
    }


def _named_config(model_name: str | None) -> dict[str, Any]:
    import open_clip

    if not model_name:
        raise ValueError('an open_clip encoder needs model_name or model_cfg, got neither')
    try:
        cfg = open_clip.get_model_config(
            model_name if model_name.startswith(SCHEMAS) else model_name.replace('/', '-')
        )
    except OSError as error:
        raise FileNotFoundError(
            f'no open_clip_config.json of the open_clip model {model_name!r} ({reason(error)}): '
            'give a folder that holds it, or connect once'
        ) from error
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f'the open_clip_config.json of {model_name!r} cannot be read: {reason(error)}'
        ) from error
    if not isinstance(cfg, dict):
        raise ValueError(_unknown_name(model_name))
    # The weights come from the file of the whole model alone.
    for tower, key, switch in (
        ('vision_cfg', 'timm_model_name', 'timm_model_pretrained'),
        ('text_cfg', 'hf_model_name', 'hf_model_pretrained'),
    ):
        if cfg.get(tower, {}).get(key):
            cfg[tower][switch] = False
    return cfg


def _build(cfg: dict[str, Any], what: str) -> Any:
    import open_clip

    _check_text_tower(cfg['text_cfg'].get('hf_model_name'), what)
    options = {
        key: value for key, value in cfg.items() if key not in ('custom_text', 'multimodal_cfg')
    }
    for tower in ('vision_cfg', 'text_cfg'):
        options[tower] = {**cfg[tower], 'output_tokens': False}
    try:
        return open_clip.CustomTextCLIP(**options)
    except BUILD_ERRORS as error:
        raise ValueError(
            f'open_clip cannot build {what}: {type(error).__name__}: {reason(error)}'
        ) from error


def _check_text_tower(hf_name: str | None, what: str) -> None:
    """Ask for the config of a text tower of transformers before the other tower is built."""
    if not hf_name:
        return
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(hf_name, trust_remote_code=False)
    except ValueError as error:
        raise ValueError(
            f'the text tower {hf_name!r} of the open_clip model {what} cannot be '
            f'used: {reason(error)}'
        ) from error
    except OSError as error:
        raise FileNotFoundError(
            f'the text tower of the open_clip model {what} is {hf_name!r} of the Hugging Face hub, '
            f'which is not on this machine ({reason(error)}): connect once, or give a model_cfg '
            'whose hf_model_name is a local folder; --sample runs without it'
        ) from error


def _unknown_name(model_name: str) -> str:
    import open_clip

    lower = {name.lower(): name for name in open_clip.list_models()}
    near = difflib.get_close_matches(model_name.lower(), lower, n=4, cutoff=0.5)
    hint = f'; near it: {", ".join(lower[name] for name in near)}' if near else ''
    return f'unknown open_clip model {model_name!r}, not in open_clip.list_models(){hint}'
