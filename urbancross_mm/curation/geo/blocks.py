"""Blocks, the squares on the ground whose tiles stay in one split."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from statistics import median

from urbancross_mm.curation.core.records import ImageRecord
from urbancross_mm.curation.geo.splits import Tile, block_of

# Sides to try, in tile widths.
BLOCK_WIDTHS = (4, 2, 1)


def blocks_to_try(
    tiles: Mapping[str, Tile], block_meters: float | None, margin_meters: float
) -> list[tuple[float, list[str]]]:
    """Sides in meters, each with its remarks."""
    sides = [tile.side for tile in tiles.values() if tile.side]
    if (margin_meters or block_meters) and not (tiles and (sides or block_meters)):
        raise ValueError(
            'block_meters and margin_meters need images with bounds, or with lon and lat and '
            'block_meters; none of the images has a position'
        )
    if block_meters is not None or not sides:
        block = block_meters or 0
        return [(block, [f'{{}} blocks of {block:.6g} m'] if block else [])]
    small = [
        f'the area is too small for blocks of {BLOCK_WIDTHS[0]} tile widths, so more '
        'tiles have neighbors in other splits'
    ]
    tries = [(round(widths * median(sides), 1), widths) for widths in BLOCK_WIDTHS]
    return [
        (
            block,
            [
                f'{{}} blocks of {block:.6g} m ({widths} tile widths)',
                *(small if widths < BLOCK_WIDTHS[0] else []),
            ],
        )
        for block, widths in tries
    ]


def blocks_of(
    images: Sequence[ImageRecord], tiles: Mapping[str, Tile], side: float
) -> dict[str, Hashable]:
    """What images that stay together have in common: their block, else their source file."""
    blocks: dict[str, Hashable] = {}
    for image in images:
        source = image.fields.get('source')
        if side and image.name in tiles:
            blocks[image.name] = block_of(tiles[image.name], side)
        elif source is not None:
            blocks[image.name] = source
    return blocks
