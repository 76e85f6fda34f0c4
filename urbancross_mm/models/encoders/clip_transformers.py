"""CLIP and SigLIP between the names of transformers and those of open_clip."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

TOWERS = {'text': 'text', 'vision': 'visual'}  # transformers, open_clip
CLIP_BLOCK = {
    'layer_norm1.': 'ln_1.',
    'layer_norm2.': 'ln_2.',
    'mlp.fc1.': 'mlp.c_fc.',
    'mlp.fc2.': 'mlp.c_proj.',
    'self_attn.out_proj.': 'attn.out_proj.',
}
TIMM_BLOCK = {
    'layer_norm1.': 'norm1.',
    'layer_norm2.': 'norm2.',
    'mlp.': 'mlp.',
    'self_attn.out_proj.': 'attn.proj.',
}
TEXT = {
    'text_model.embeddings.token_embedding.': 'text.token_embedding.',
    'text_model.embeddings.position_embedding.weight': 'text.positional_embedding',
    'text_model.final_layer_norm.': 'text.ln_final.',
}
CLIP = {
    **TEXT,
    'text_projection.weight': 'text.text_projection',
    'vision_model.embeddings.class_embedding': 'visual.class_embedding',
    'vision_model.embeddings.patch_embedding.': 'visual.conv1.',
    'vision_model.embeddings.position_embedding.weight': 'visual.positional_embedding',
    'vision_model.pre_layrnorm.': 'visual.ln_pre.',
    'vision_model.post_layernorm.': 'visual.ln_post.',
    'visual_projection.weight': 'visual.proj',
}
SIGLIP = {
    **TEXT,
    'text_model.head.': 'text.text_projection.',
    'vision_model.embeddings.patch_embedding.': 'visual.trunk.patch_embed.proj.',
    'vision_model.embeddings.position_embedding.weight': 'visual.trunk.pos_embed',
    'vision_model.post_layernorm.': 'visual.trunk.norm.',
    'vision_model.head.probe': 'visual.trunk.attn_pool.latent',
    'vision_model.head.layernorm.': 'visual.trunk.attn_pool.norm.',
    'vision_model.head.mlp.': 'visual.trunk.attn_pool.mlp.',
    'vision_model.head.attention.out_proj.': 'visual.trunk.attn_pool.proj.',
}
# Matrices that one of the two stores transposed.
TRANSPOSED = ('text.text_projection', 'visual.proj')
_LAYER = re.compile(r'(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)')
_QKV = re.compile(r'self_attn\.([qkv])_proj\.(weight|bias)')
_BLOCK = re.compile(r'(text\.transformer|visual\.transformer|visual\.trunk)\.(?:res)?blocks\.')
_POOL_IN = 'vision_model.head.attention.in_proj_'
_TIMM_POOL = 'visual.trunk.attn_pool.'


def is_transformers(weights: Mapping[str, Any]) -> bool:
    """Whether these are weights of a CLIP or SigLIP of transformers.

    Args:
        weights (Mapping): A state dict.

    Returns:
        bool: True by the names of either tower.
    """
    return any(name.startswith(('vision_model.', 'text_model.')) for name in weights)


def from_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of transformers under open_clip's names.

    Args:
        weights (Mapping): State dict of a ``CLIPModel`` or ``SiglipModel``, or one of its towers.

    Returns:
        dict[str, Tensor]: As :func:`urbancross_mm.models.encoders.clip_layouts.to_two_towers`.

    Raises:
        ValueError: If a query, key or value of an attention is missing.
    """
    siglip = _is_siglip(weights)
    names = SIGLIP if siglip else CLIP
    result: dict[str, Tensor] = {}
    fused: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        if name.endswith('.position_ids'):  # older versions saved them
            continue
        if match := _LAYER.fullmatch(name):
            tower, layer, rest = match.groups()
            new, part = _block_name(tower, layer, rest, siglip)
            if part:
                fused.setdefault(new, {})[part] = value
                continue
        else:
            new = _swap(name, names)
        if name.startswith(_POOL_IN):
            result.update(_split_pool(name, value))
        elif new in TRANSPOSED:
            result[new] = value.T
        else:
            result[new] = value[None] if new == 'visual.trunk.pos_embed' else value
    return {**result, **{name: _joined(name, parts) for name, parts in fused.items()}}


def to_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back of :func:`from_transformers`.

    Args:
        weights (Mapping): Of two towers, by open_clip's names.

    Returns:
        dict[str, Tensor]: As a ``CLIPModel`` or ``SiglipModel`` names them. What neither has keeps
        its name.
    """
    siglip = any(name.startswith(_TIMM_POOL) for name in weights)
    names = {new: old for old, new in (SIGLIP if siglip else CLIP).items()}
    result: dict[str, Tensor] = {}
    pool: dict[str, Tensor] = {}
    for name, value in weights.items():
        if match := _BLOCK.match(name):
            tower = 'text' if match[1].startswith('text') else 'vision'
            layer, _, rest = name[match.end() :].partition('.')
            result.update(_layer_weights(f'{tower}_model.encoder.layers.{layer}.', rest, value))
        elif name.startswith((f'{_TIMM_POOL}q.', f'{_TIMM_POOL}kv.')):
            pool[name.removeprefix(_TIMM_POOL)] = value
        elif name in TRANSPOSED:
            result[_swap(name, names)] = value.T
        elif name.startswith('logit_'):
            result[name] = value.reshape((1,) if siglip else ())
        else:
            result[_swap(name, names)] = value[0] if name == 'visual.trunk.pos_embed' else value
    for kind in ('weight', 'bias') if pool else ():
        result[f'{_POOL_IN}{kind}'] = torch.cat([pool[f'q.{kind}'], pool[f'kv.{kind}']])
    return result


def _is_siglip(weights: Mapping[str, Any]) -> bool:
    return any(name.startswith(('vision_model.head.', 'text_model.head.')) for name in weights)


def _swap(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _block_name(tower: str, layer: str, rest: str, siglip: bool) -> tuple[str, str]:
    """Name of a weight of a block, and which third of it this is: q, k, v or none."""
    timm = siglip and tower == 'vision'
    block = (
        f'visual.trunk.blocks.{layer}.'
        if timm
        else f'{TOWERS[tower]}.transformer.resblocks.{layer}.'
    )
    if match := _QKV.fullmatch(rest):
        return block + (f'attn.qkv.{match[2]}' if timm else f'attn.in_proj_{match[2]}'), match[1]
    return block + _swap(rest, TIMM_BLOCK if timm else CLIP_BLOCK), ''


def _layer_weights(prefix: str, rest: str, value: Tensor) -> dict[str, Tensor]:
    if match := re.fullmatch(r'attn\.(?:in_proj_|qkv\.)(weight|bias)', rest):
        thirds = zip('qkv', value.chunk(3))
        return {f'{prefix}self_attn.{part}_proj.{match[1]}': third for part, third in thirds}
    block = TIMM_BLOCK if rest.startswith(('norm', 'attn.proj', 'mlp.fc')) else CLIP_BLOCK
    return {prefix + _swap(rest, {new: old for old, new in block.items()}): value}


def _joined(name: str, parts: Mapping[str, Tensor]) -> Tensor:
    if parts.keys() != set('qkv'):
        raise ValueError(f'of {name} it holds {", ".join(sorted(parts))} and not q, k and v')
    return torch.cat([parts[part] for part in 'qkv'])


def _split_pool(name: str, value: Tensor) -> dict[str, Tensor]:
    """The pooling attention of SigLIP; timm keeps its query apart."""
    kind, width = name.removeprefix(_POOL_IN), len(value) // 3
    return {f'{_TIMM_POOL}q.{kind}': value[:width], f'{_TIMM_POOL}kv.{kind}': value[width:]}
