"""Patches that are hidden and rebuilt."""

import pytest
import torch

from urbancross_mm.models import MaskedImageHead


def build(**options: object) -> MaskedImageHead:
    return MaskedImageHead((4, 8), (4, 8), **{'feature_dim': 16, **options})


def maps(batch: int = 2) -> list[torch.Tensor]:
    return [torch.randn(batch, 4, 8, 8), torch.randn(batch, 8, 4, 4)]


def test_every_image_loses_its_share_of_patches() -> None:
    image = torch.randn(3, 3, 32, 32) + 5
    hidden, present = build(mask_ratio=0.3).hide(image)
    assert (~present).flatten(1).sum(1).tolist() == [5, 5, 5]  # 16 - round(16 * 0.7)
    pixels = present.repeat_interleave(8, 2).repeat_interleave(8, 3).expand_as(image)
    assert torch.equal(hidden[pixels], image[pixels]) and not hidden[~pixels].any()
    assert len({tuple(row.flatten().tolist()) for row in present}) > 1


def test_only_hidden_patches_count() -> None:
    head, image = build(mask_ratio=0.3).eval(), torch.randn(2, 3, 32, 32)
    _, present = head.hide(image)
    values, changed = maps(), image.clone()
    seen = present.repeat_interleave(8, 2).repeat_interleave(8, 3).expand_as(image)
    changed[seen] = 9
    losses = [
        head.loss(values, target, present)['loss_masked_image'] for target in (image, changed)
    ]
    torch.testing.assert_close(*losses)


def test_against_the_squared_error_of_normalized_patches() -> None:
    head, image, values = build(mask_ratio=0.3).eval(), torch.randn(2, 3, 32, 32), maps()
    _, present = head.hide(image)
    rebuilt = []
    hook = head.decoder.register_forward_hook(lambda *args: rebuilt.append(args[-1]))
    loss = head.loss(values, image, present)['loss_masked_image']
    hook.remove()
    errors = []
    for n, row, column in (~present[:, 0]).nonzero().tolist():
        window = (n, slice(None), slice(row * 8, row * 8 + 8), slice(column * 8, column * 8 + 8))
        target = image[window]
        target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
        errors.append((rebuilt[0][window] - target).square().mean())
    torch.testing.assert_close(loss, torch.stack(errors).mean(), rtol=1e-4, atol=1e-5)


def test_hidden_features_are_replaced_and_all_weights_train() -> None:
    head, image = build(mask_ratio=0.3), torch.randn(2, 3, 32, 32)
    _, present = head.hide(image)
    values = [value.requires_grad_() for value in maps()]
    head.eval().loss(values, image, present)['loss_masked_image'].backward()
    hidden = ~present.expand_as(values[1])
    assert not values[1].grad[hidden].any() and values[1].grad[~hidden].any()
    assert all(p.grad is not None for p in head.parameters())


def test_a_share_that_hides_nothing_or_all_is_refused() -> None:
    with pytest.raises(ValueError, match='0.001 would hide 0 of 16'):
        build(mask_ratio=0.001).hide(torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match='got 1.5'):
        build(mask_ratio=1.5)


def test_images_and_maps_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r'8 px.*\(36, 36\)'):
        build().hide(torch.randn(1, 3, 36, 36))
    with pytest.raises(ValueError, match=r'\[4, 16\]'):
        MaskedImageHead((4, 8), (4, 16))
    with pytest.raises(ValueError, match='feature_dim.*8, got 12'):
        build(feature_dim=12)
