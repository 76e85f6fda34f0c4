"""Building decode heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urbancross_mm.models.build import build_part


def build_decode_head(cfg: Mapping[str, Any], shapes: Sequence[tuple[int, int]]) -> Any:
    """Build a decode head with the channels and strides of the maps that it reads.

    Args:
        cfg (Mapping): Config of :class:`LiteFPNHead` or of a head of mmseg. ``in_index`` names its
            maps.
        shapes (Sequence[tuple[int, int]]): Channels and stride of each map.

    Returns:
        nn.Module: The head.

    Raises:
        ValueError: If there is no such map, or ``in_channels`` is given and does not fit.
    """
    cfg = dict(cfg)
    index = cfg.setdefault('in_index', [0, 1, 2] if cfg.get('type') == 'LiteFPNHead' else -1)
    chosen = [index] if isinstance(index, int) else list(index)
    outside = [i for i in chosen if not -len(shapes) <= i < len(shapes)]
    if outside:
        raise ValueError(
            f'pyramid.decode_head.in_index={index!r}, but the image encoder gives '
            f'{len(shapes)} map(s): give its backbone out_indices=(0, 1, 2, 3)'
        )
    fitting = [shapes[i][0] for i in chosen]
    given = cfg.setdefault('in_channels', fitting[0] if isinstance(index, int) else fitting)
    if ([given] if isinstance(given, int) else list(given)) != fitting:
        raise ValueError(
            f'pyramid.decode_head.in_channels={given!r}, but the maps of in_index={index!r} '
            f'have {fitting} channels: leave in_channels out'
        )
    if str(cfg.get('type')).rpartition('.')[2] == 'FPNHead':
        cfg.setdefault('feature_strides', [shapes[i][1] for i in chosen])
    return build_part(cfg, 'pyramid.decode_head')
