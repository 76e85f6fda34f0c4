"""Building a part of a model, with a clear message if its type is unknown."""

from __future__ import annotations

import difflib
from typing import Any

from mmengine.registry import Registry
from torch import nn

from urbancross_mm.registry import MODELS, SCOPE

ENCODER_SCOPES = ('mmpretrain', 'mmseg')


def build_part(cfg: dict[str, Any] | nn.Module, role: str) -> Any:
    """Build one part of a model from its config.

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
    return MODELS.build(cfg)


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
