"""Focal loss of a segmentation, against its formula."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from urbancross_mm.models import PixelFocalLoss


def data() -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 4, (2, 6, 6))
    labels[0, :2] = 255
    return torch.randn(2, 4, 6, 6, requires_grad=True), labels


def test_gamma_0_is_cross_entropy_and_its_gradient() -> None:
    logits, labels = data()
    loss = PixelFocalLoss(gamma=0, loss_weight=3.0)(logits, labels)
    expected = 3 * functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(loss, expected)
    (grad,), (right,) = (torch.autograd.grad(value, logits) for value in (loss, expected))
    torch.testing.assert_close(grad, right)


@pytest.mark.parametrize('weights', [None, [1.0, 2.0, 0.0, 4.0]])
def test_against_a_loop(weights: list[float] | None) -> None:
    logits, labels = data()
    terms = []
    for n, row, column in (labels != 255).nonzero().tolist():
        kind = int(labels[n, row, column])
        p = logits[n, :, row, column].softmax(0)[kind]
        terms.append((weights[kind] if weights else 1) * -((1 - p) ** 2) * p.log())
    loss = PixelFocalLoss(class_weight=weights)(logits, labels)
    torch.testing.assert_close(loss, torch.stack(terms).mean())


def test_a_sampler_weighs_pixels() -> None:
    logits, labels = data()
    kept = torch.zeros(2, 6, 6)
    kept[1, 3, 3] = 1
    loss = PixelFocalLoss()(logits, labels, weight=kept)
    only = torch.full_like(labels, 255)
    only[1, 3, 3] = labels[1, 3, 3]
    torch.testing.assert_close(loss * 60, PixelFocalLoss()(logits, only))


def test_no_labeled_pixel_is_0_with_a_gradient() -> None:
    logits, labels = data()
    loss = PixelFocalLoss()(logits, torch.full_like(labels, 255))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_weights_from_a_file_and_a_negative_ignored_label(tmp_path: Path) -> None:
    logits, labels = data()
    (tmp_path / 'weights.json').write_text('[1, 2, 0, 4]')
    read = PixelFocalLoss(class_weight=str(tmp_path / 'weights.json'))
    given = PixelFocalLoss(class_weight=[1.0, 2.0, 0.0, 4.0])
    negative = labels.masked_fill(labels == 255, -1)
    torch.testing.assert_close(read(logits, negative, ignore_index=-1), given(logits, labels))
