"""Masks of segments, and images of them, composed on the device.

Letters: B images, K segments per image, P planes of 16 masks each, H and W image size in
pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

BITS_PER_PLANE = 16


def unpack_bits(bits: Tensor, num_segments: int) -> Tensor:
    """Take the masks of the first segments out of a bit field.

    Bit k of plane p is mask ``16 p + k``, so one nearest-neighbor resize of the field moves all
    masks at once.

    Args:
        bits (Tensor): Bit field of any integer type.
        num_segments (int): K, how many masks to take.

    Shape:
        - bits: ``(B, P, H, W)``; output: ``(B, K, H, W)``.

    Returns:
        Tensor: bool masks.

    Raises:
        ValueError: If the field holds fewer than K masks or has another number of dimensions.
    """
    if bits.dim() != 4 or bits.is_floating_point():
        raise ValueError(
            f'bits must be integers of shape (B, P, H, W), got {bits.dtype} of shape '
            f'{tuple(bits.shape)}'
        )
    if not 0 <= num_segments <= bits.shape[1] * BITS_PER_PLANE:
        raise ValueError(
            f'{bits.shape[1]} planes hold {bits.shape[1] * BITS_PER_PLANE} masks, '
            f'asked for {num_segments}'
        )
    flags = (1 << torch.arange(BITS_PER_PLANE, device=bits.device)).to(bits.dtype)
    masks = bits.new_empty((bits.shape[0], num_segments, *bits.shape[2:]), dtype=torch.bool)
    # One mask at a time: K int32 copies of the field at once cost seven times as much on a CPU.
    for k in range(num_segments):
        plane = bits[:, k // BITS_PER_PLANE]
        torch.ne(plane & flags[k % BITS_PER_PLANE], 0, out=masks[:, k])
    return masks


def compose_white(image: Tensor, masks: Tensor) -> Tensor:
    """Paint everything outside each mask white: one image a segment.

    Args:
        image (Tensor): uint8 images, 0 to 255.
        masks (Tensor): bool masks.

    Shape:
        - image: ``(B, 3, H, W)``; masks: ``(B, K, H, W)``; output: ``(B, K, 3, H, W)``.

    Returns:
        Tensor: uint8 images.

    Raises:
        ValueError: If the types or shapes do not fit.
    """
    _check_masks(image, masks)
    # or-ing with 255 is white, with 0 is the pixel itself: one pass, no float.
    white = (~masks).to(torch.uint8).mul_(255)
    return image[:, None] | white[:, :, None]


def compose_crop(image: Tensor, masks: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Cut the bounding box of each mask out of its image and resize it bilinearly.

    The surroundings inside the box stay. An empty mask gives the whole image. There is no
    antialias filter: a box more than twice the output size will alias.

    Args:
        image (Tensor): uint8 images, 0 to 255.
        masks (Tensor): bool masks.
        size (tuple[int, int] | None): Height and width of the output in pixels. Defaults to None
            (the size of the image).

    Shape:
        - image: ``(B, 3, H, W)``; masks: ``(B, K, H, W)``; output: ``(B, K, 3, h, w)``.

    Returns:
        Tensor: uint8 images.

    Raises:
        ValueError: If the types or shapes do not fit.
    """
    _check_masks(image, masks)
    height, width = size or (image.shape[2], image.shape[3])
    top, bottom = _extent(masks.any(dim=3))  # (B, K) each
    left, right = _extent(masks.any(dim=2))
    y = _sample_positions(top, bottom, height, image.shape[2])  # (B, K, h)
    x = _sample_positions(left, right, width, image.shape[3])  # (B, K, w)
    batch, num_segments = masks.shape[:2]
    grid = torch.stack(
        [x[:, :, None, :].expand(-1, -1, height, -1), y[:, :, :, None].expand(-1, -1, -1, width)],
        dim=-1,
    )
    # The K crops of an image are stacked along the height, so the image is never copied.
    crops = grid_sample(
        image.float(), grid.flatten(1, 2), padding_mode='border', align_corners=False
    )
    crops = crops.round_().clamp_(0, 255).to(torch.uint8)
    return crops.view(batch, image.shape[1], num_segments, height, width).transpose(1, 2)


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and one past the last true position along the last axis; all of it if none is."""
    length = occupied.shape[-1]
    occupied = occupied | ~occupied.any(dim=-1, keepdim=True)
    flags = occupied.to(torch.uint8)
    return flags.argmax(dim=-1), length - flags.flip(-1).argmax(dim=-1)


def _sample_positions(start: Tensor, stop: Tensor, count: int, length: int) -> Tensor:
    """Centers of ``count`` output pixels between two edges, in grid_sample's -1 to 1."""
    start, stop = start.float().unsqueeze(-1), stop.float().unsqueeze(-1)
    step = (torch.arange(count, device=start.device) + 0.5) / count
    # Held half a pixel inside the box, so that nothing from outside bleeds in at its edges.
    center = torch.minimum(torch.maximum(start + step * (stop - start), start + 0.5), stop - 0.5)
    return center * 2 / length - 1


def _check_masks(image: Tensor, masks: Tensor) -> None:
    if image.dtype != torch.uint8 or image.dim() != 4:
        raise ValueError(
            f'image must be uint8 of shape (B, 3, H, W), got {image.dtype} of shape '
            f'{tuple(image.shape)}'
        )
    wanted = (image.shape[0], *image.shape[2:])
    if (
        masks.dtype != torch.bool
        or masks.dim() != 4
        or (masks.shape[0], *masks.shape[2:]) != wanted
    ):
        raise ValueError(
            f'masks must be bool of shape (B, K, H, W) for an image of shape '
            f'{tuple(image.shape)}, got {masks.dtype} of shape {tuple(masks.shape)}'
        )
