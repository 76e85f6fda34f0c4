"""Building a part of a model, with a clear message if its type is unknown."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry
from torch import nn

from urbancross_mm.registry import MODELS, SCOPE

ENCODER_SCOPES = ('mmpretrain', 'mmseg')


def build_part(cfg: dict[str, Any] | nn.Module, role: str) -> Any:
    """Build one part of a model from its config.

    A part of another package is built under the scope of that package. One that would download
    weights unless it is told not to (``mmseg.TIMMBackbone``) downloads none unless it is told to.

    Args:
        cfg (dict | nn.Module): Config with a ``type``, or a module, returned as it is.
        role (str): What the part is, for the messages: ``'image encoder'``.

    Returns:
        nn.Module: The part.

    Raises:
        TypeError: If ``cfg`` is neither a config nor a module.
        ValueError: If the type is missing, or no registry knows it.
    """
    if isinstance(cfg, nn.Module):
        return cfg
    if not isinstance(cfg, dict):
        raise TypeError(f'{role}: expected a config dict or a module, got {cfg!r}')
    kind = cfg.get('type')
    if not kind:
        raise ValueError(f"{role}: the config has no 'type', got {dict(cfg)}")
    if isinstance(kind, str) and MODELS.get(kind) is None:
        raise ValueError(_unknown_type(kind, role))
    return MODELS.build(_without_download(cfg))


def _without_download(cfg: dict[str, Any]) -> dict[str, Any]:
    kind = cfg['type']
    part = MODELS.get(kind) if isinstance(kind, str) else kind
    option = inspect.signature(part).parameters.get('pretrained')
    downloads = option is not None and option.default is True and 'pretrained' not in cfg
    return {**cfg, 'pretrained': False} if downloads else cfg


def check_widths(encoders: Mapping[str, Any]) -> None:
    """Refuse two encoders that embed into spaces of different width.

    Args:
        encoders (Mapping): Two encoders by their keys in the model's config.

    Raises:
        ValueError: If their ``embed_dim`` differs. The message names the option that changes one.
    """
    (name, encoder), (other_name, other) = encoders.items()
    if encoder.embed_dim == other.embed_dim:
        return
    # Of an OpenCLIP encoder the width is that of the released model.
    if 'embed_dim' in inspect.signature(type(encoder)).parameters:
        option = f'model.{name}.embed_dim={other.embed_dim}'
    else:
        option = f'model.{other_name}.embed_dim={encoder.embed_dim}'
    raise ValueError(
        f'{name} is {encoder.embed_dim} wide, {other_name} {other.embed_dim}: both need the same '
        f'embed_dim, such as by --cfg-options {option}'
    )


def check_tokenizer(encoder: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer whose ids a text encoder would take for others.

    Args:
        encoder (nn.Module): The text encoder; one without ``token_limits`` is not looked at.
        tokenizer (Any): The tokenizer; what it does not tell is not looked at.

    Raises:
        ValueError: If vocabulary, padding or length do not fit.
    """
    if not hasattr(encoder, 'token_limits'):
        return
    limits = encoder.token_limits()
    pad_id, size = (getattr(tokenizer, name, None) for name in ('pad_id', 'vocab_size'))
    if size is not None and not limits.exact:
        size -= pad_id == size - 1  # an id behind the vocabulary that only pads is never looked up
    longest = getattr(tokenizer, 'longest', None)
    wrong = [
        f'{what.format(value)}, and the encoder {limit}'
        for what, value, limit, exact in (
            ('it has {} ids', size, limits.vocab_size, limits.exact),
            ('it pads with the id {}', pad_id, limits.pad_id, True),
            ('its texts have up to {} tokens', longest, limits.max_tokens, False),
        )
        if None not in (value, limit) and (value != limit if exact else value > limit)
    ]
    if wrong:
        raise ValueError(
            f'the {type(tokenizer).__name__} of the pipeline does not fit the text encoder '
            f'{type(encoder).__name__}: {"; ".join(wrong)}. Give TokenizeText the tokenizer of '
            'that encoder, with no more tokens than it reads'
        )


def _unknown_type(kind: str, role: str) -> str:
    scope, _, name = kind.rpartition('.')
    registry = _registry(scope or SCOPE)
    if registry is None:
        return (
            f'unknown {role} {kind!r}: no model registry has the scope {scope!r}; '
            f'is the package {scope!r} installed?'
        )
    near = difflib.get_close_matches(name, registry.module_dict, n=3)
    near = [f'{scope}.{match}' if scope else match for match in near]
    near += [f'{s}.{name}' for s in ENCODER_SCOPES if not scope and MODELS.get(f'{s}.{name}')]
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    return f'unknown {role} {kind!r}: not in the model registry of {scope or SCOPE!r}{hint}'


def _registry(scope: str) -> Registry | None:
    """The model registry of a scope, which ``MODELS.get`` has imported where it exists."""
    root = MODELS.parent
    return MODELS if scope == SCOPE else root.children.get(scope) if root else None
