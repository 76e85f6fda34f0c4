"""Bit fields and compositions against numpy loops."""

import numpy as np
import pytest
import torch

from urbancross_mm.functional import segments


def random_masks(batch: int, count: int, height: int, width: int) -> torch.Tensor:
    """Filled rectangles with a hole, one a mask."""
    masks = torch.zeros(batch, count, height, width, dtype=torch.bool)
    for mask in masks.flatten(0, 1):
        top, left = torch.randint(height - 3, ()).item(), torch.randint(width - 3, ()).item()
        bottom = torch.randint(top + 2, height + 1, ()).item()
        right = torch.randint(left + 2, width + 1, ()).item()
        mask[top:bottom, left:right] = True
        mask[top + 1 : bottom - 1, left + 1 : right - 1] &= (
            torch.rand(max(bottom - top - 2, 0), max(right - left - 2, 0)) < 0.5
        )
    return masks


@pytest.mark.parametrize('count', [0, 1, 10, 16, 20])
def test_unpack_bits_matches_loop(count: int) -> None:
    masks = random_masks(2, 20, 9, 11).numpy()
    bits = np.zeros((2, 2, 9, 11), np.uint16)
    for k in range(20):
        bits[:, k // 16] |= masks[:, k].astype(np.uint16) << (k % 16)
    unpacked = segments.unpack_bits(torch.from_numpy(bits.astype(np.int32)), count)
    assert unpacked.dtype == torch.bool
    assert (unpacked.numpy() == masks[:, :count]).all()


def test_unpack_bits_refuses() -> None:
    with pytest.raises(ValueError, match='1 .* 16 .* 17'):
        segments.unpack_bits(torch.zeros(1, 1, 2, 2, dtype=torch.int32), 17)
    with pytest.raises(ValueError, match='bits'):
        segments.unpack_bits(torch.zeros(1, 1, 2, 2), 1)


def test_compose_white_matches_loop() -> None:
    image = torch.randint(256, (2, 3, 9, 11), dtype=torch.uint8)
    masks = random_masks(2, 4, 9, 11)
    composed = segments.compose_white(image, masks).numpy()
    for b in range(2):
        for k in range(4):
            expected = np.where(masks[b, k].numpy(), image[b].numpy(), 255)
            assert (composed[b, k] == expected).all()
    assert composed.dtype == np.uint8


@pytest.mark.parametrize('size', [None, (5, 7), (20, 16)])
def test_compose_crop_equals_cutting_and_resizing_one_by_one(size) -> None:
    image = torch.randint(256, (2, 3, 13, 11), dtype=torch.uint8)
    masks = random_masks(2, 4, 13, 11)
    crops = segments.compose_crop(image, masks, size)
    for b in range(2):
        for k in range(4):
            rows, columns = masks[b, k].numpy().nonzero()
            cut = image[
                b : b + 1, :, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1
            ]
            expected = torch.nn.functional.interpolate(
                cut.float(), size or (13, 11), mode='bilinear', align_corners=False
            )[0]
            assert crops.dtype == torch.uint8
            torch.testing.assert_close(crops[b, k].float(), expected, rtol=0, atol=0.51)


def test_an_empty_or_full_mask_gives_the_image() -> None:
    image = torch.randint(256, (1, 3, 6, 8), dtype=torch.uint8)
    masks = torch.stack([torch.zeros(6, 8), torch.ones(6, 8)]).bool()[None]
    for crop in segments.compose_crop(image, masks)[0]:
        assert torch.equal(crop, image[0])


@pytest.mark.parametrize('compose', [segments.compose_white, segments.compose_crop])
def test_compositions_refuse(compose) -> None:
    image, masks = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.ones(2, 1, 4, 4).bool()
    assert compose(image, masks[:, :0]).shape == (2, 0, 3, 4, 4)
    with pytest.raises(ValueError, match='uint8'):
        compose(image.float(), masks)
    for wrong in (masks[:1], masks[..., :3], masks.float()):
        with pytest.raises(ValueError, match='masks .*bool'):
            compose(image, wrong)
