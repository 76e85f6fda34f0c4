"""The config of a CLIP, read off the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Of text towers, and of image towers but the largest.
HEAD_WIDTH = 64


def config_of_weights(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The open_clip config of a CLIP, as its shapes tell it.

    Args:
        weights (Mapping): Of two towers, by open_clip's names.

    Returns:
        dict: ``embed_dim``, ``vision_cfg`` and ``text_cfg``. Shapes do not tell the number of
        heads: it is that of open_clip's own models of that width.

    Raises:
        ValueError: If they are not of an image tower (ViT or ResNet) and a text transformer.
    """
    try:
        text = weights['text.text_projection']
        return dict(
            embed_dim=text.shape[1],
            vision_cfg=_vit(weights) if 'visual.proj' in weights else _resnet(weights),
            text_cfg=dict(
                context_length=len(weights['text.positional_embedding']),
                vocab_size=len(weights['text.token_embedding.weight']),
                width=text.shape[0],
                heads=max(text.shape[0] // HEAD_WIDTH, 1),
                layers=_count(weights, r'text\.transformer\.resblocks\.(\d+)\.'),
                mlp_ratio=_ratio(weights, 'text.transformer', text.shape[0]),
            ),
        )
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(
            f'its weights are not those of a CLIP of open_clip or OpenAI (no {error}): give the '
            'name of its model'
        ) from error


def _vit(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    conv = weights['visual.conv1.weight']
    side = round((len(weights['visual.positional_embedding']) - 1) ** 0.5)
    return dict(
        image_size=side * conv.shape[-1],
        patch_size=conv.shape[-1],
        width=conv.shape[0],
        head_width=_head_width(conv.shape[0]),
        layers=_count(weights, r'visual\.transformer\.resblocks\.(\d+)\.'),
        mlp_ratio=_ratio(weights, 'visual.transformer', conv.shape[0]),
    )


def _resnet(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    positions = weights['visual.attnpool.positional_embedding']
    return dict(
        image_size=round((len(positions) - 1) ** 0.5) * 32,
        width=len(weights['visual.layer1.0.conv1.weight']),
        layers=[_count(weights, rf'visual\.layer{stage}\.(\d+)\.') for stage in (1, 2, 3, 4)],
    )


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in weights if (match := re.match(pattern, name))})


def _ratio(weights: Mapping[str, Tensor], tower: str, width: int) -> float:
    return mlp_ratio(len(weights[f'{tower}.resblocks.0.mlp.c_fc.weight']), width)


def mlp_ratio(hidden: int, width: int) -> float:
    """The ratio of which open_clip makes this width of a hidden layer, and no smaller one.

    Args:
        hidden (int): Width of the hidden layer.
        width (int): Of the tower.

    Returns:
        float: Its product with ``width`` is cut off after the point.
    """
    return hidden / width if hidden % width == 0 else (hidden + 0.5) / width


def _head_width(width: int) -> int:
    import open_clip

    towers = [open_clip.get_model_config(name)['vision_cfg'] for name in open_clip.list_models()]
    widths = {
        tower.get('head_width', HEAD_WIDTH)
        for tower in towers
        if tower.get('width') == width and isinstance(tower.get('layers'), int)
    }
    if len(widths) > 1 or (width % HEAD_WIDTH and not widths):
        raise ValueError(
            f'its image tower is {width} wide, for which open_clip has no number of heads: give '
            'the name of its model'
        )
    return widths.pop() if widths else HEAD_WIDTH
