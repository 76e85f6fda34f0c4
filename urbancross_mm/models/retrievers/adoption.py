"""Naming the weights of a CLIP after the parts of a retriever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from urbancross_mm.models.encoders.clip_layouts import ABOUT, to_two_towers

# The parts of a retriever that a tower may fill.
PARTS = {
    'image_encoder.': 'visual.',
    'text_encoder.': 'text.',
    'segment_encoder.encoder.': 'segment.',
}


def named_after(model: Any, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights of a whole CLIP under the names of a retriever; see ``BaseRetriever.own_weights``.

    Args:
        model (BaseRetriever): Its encoders may have a method ``own_weights``.
        weights (Mapping): A state dict.

    Returns:
        Mapping: The retriever's names, beside what is of no part.
    """
    own = any(name.startswith(tuple(PARTS)) for name in weights)
    clip = weights if own else to_two_towers(weights)
    named: dict[str, Tensor] = {}
    rest = dict(clip)
    # With them an encoder knows the weights of OpenAI.
    about = {} if own else {name: clip[name] for name in ABOUT if name in clip}
    for part, tower in PARTS.items():
        prefix = part if own else tower
        rows = {
            name.removeprefix(prefix): value
            for name, value in clip.items()
            if name.startswith(prefix)
        }
        encoder = _child(model, part)
        if not rows or not hasattr(encoder, 'own_weights'):
            continue
        for name in rows:
            del rest[prefix + name]
        # The tower that sees segments is one of images.
        inner = '' if own else tower.replace('segment.', 'visual.')
        given = {inner + name: value for name, value in rows.items()}
        fitted = encoder.own_weights({**about, **given})
        named.update({part + name: value for name, value in fitted.items()})
    if not named or (own and all(named[name] is weights.get(name) for name in named)):
        return weights
    return {**named, **rest, **({} if own else _head(model))}


def _child(model: Any, path: str) -> Any:
    for name in path.removesuffix('.').split('.'):
        model = getattr(model, name, None)
    return model


def _head(model: Any) -> dict[str, Tensor]:
    """Those of the loss, which no CLIP of the field has."""
    head = getattr(model, 'head', None)
    return {} if head is None else {f'head.{n}': value for n, value in head.state_dict().items()}
