"""The small decode head, against its formula and mmseg's losses."""

import pytest
import torch
from mmengine.structures import PixelData
from torch.nn import functional

from urbancross_mm.models import LiteFPNHead
from urbancross_mm.structures import RetrievalDataSample

WIDTHS = (8, 12, 16)


def build(**options: object) -> LiteFPNHead:
    return LiteFPNHead(WIDTHS, num_classes=5, channels=8, hidden_channels=4, **options)


def maps() -> list[torch.Tensor]:
    """Four maps, of which the last is not read."""
    return [torch.randn(2, width, side, side) for width, side in zip((*WIDTHS, 20), (16, 8, 4, 2))]


def labeled(*labels: torch.Tensor) -> list[RetrievalDataSample]:
    samples = [RetrievalDataSample() for _ in labels]
    for sample, label in zip(samples, labels):
        sample.gt_sem_seg = PixelData(data=label[None])
    return samples


def test_it_is_the_sum_of_three_scales_at_the_finest() -> None:
    head, values = build(), maps()
    scales = [head.shared(lateral(value)) for lateral, value in zip(head.laterals, values)]
    scales = [functional.interpolate(s, (16, 16), mode='bilinear', align_corners=True)
              for s in scales]  # fmt: skip
    torch.testing.assert_close(head(values), head.conv_seg(scales[0] + scales[1] + scales[2]))


def test_the_released_size_on_resnet_18_and_nothing_unused() -> None:
    """0.15 M live parameters in the release, which builds 8.5 M more that it never runs."""
    head = LiteFPNHead((64, 128, 256), num_classes=15)
    assert sum(p.numel() for p in head.parameters()) == 150_543
    head([torch.randn(1, w, s, s) for w, s in zip((64, 128, 256), (8, 4, 2))]).sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_the_loss_is_that_of_torch_at_the_size_of_the_labels() -> None:
    weights = [1.0, 2.0, 0.5, 1.0, 3.0]
    head = build(loss_decode=dict(
        type='mmseg.CrossEntropyLoss', class_weight=weights, loss_weight=80.0))  # fmt: skip
    logits, labels = torch.randn(2, 5, 16, 16), torch.randint(0, 5, (2, 32, 32))
    labels[0, :9] = 255
    (loss,) = head.loss_by_feat(logits, labeled(*labels)).values()
    resized = functional.interpolate(logits, (32, 32), mode='bilinear', align_corners=True)
    expected = functional.cross_entropy(
        resized, labels, weight=torch.tensor(weights), ignore_index=255
    )
    torch.testing.assert_close(loss, 80 * expected)


def test_unlabeled_pixels_do_not_dilute_the_default_loss() -> None:
    head, logits = build(), torch.randn(1, 5, 8, 8)
    labels = torch.randint(0, 5, (8, 8))
    half = labels.clone()
    half[4:] = 255
    (loss,) = head.loss_by_feat(logits, labeled(half)).values()
    torch.testing.assert_close(loss, functional.cross_entropy(logits[:, :, :4], labels[None, :4]))


@pytest.mark.parametrize('kind', ['PixelFocalLoss', 'mmseg.DiceLoss', 'mmseg.TverskyLoss'])
def test_losses_by_config(kind: str) -> None:
    head = build(loss_decode=[dict(type='mmseg.CrossEntropyLoss'), dict(type=kind)])
    logits = torch.randn(1, 5, 8, 8, requires_grad=True)
    losses = head.loss_by_feat(logits, labeled(torch.randint(0, 5, (8, 8))))
    assert len(losses) == 2 and all('loss' in name for name in losses)
    sum(losses.values()).backward()
    assert logits.grad.abs().sum() > 0


def test_each_loss_runs_once() -> None:
    head, runs = build(), []
    head.loss_decode[0].register_forward_hook(lambda *_: runs.append(1))
    head.loss_by_feat(torch.randn(1, 5, 8, 8), labeled(torch.randint(0, 5, (8, 8))))
    assert len(runs) == 1
