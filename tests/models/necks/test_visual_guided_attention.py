"""A text vector for each image, against a loop over pairs."""

import pytest
import torch
from torch import Tensor

from urbancross_mm.models import VisualGuidedAttention
from urbancross_mm.models.necks import visual_guided_attention

DIM, GATES = 6, ['soft', 'fusion', 'sim']


def guided(neck: VisualGuidedAttention, image: Tensor, text: Tensor) -> Tensor:
    """The vector of one text for one image."""
    if neck.gate == 'soft':
        return torch.sigmoid(neck.first(image)) * text
    if neck.gate == 'sim':
        return torch.sigmoid(neck.first(image) * neck.second(text)) * text
    both = torch.cat([image, text])
    return torch.sigmoid(neck.first(both)) * neck.second(both)


@pytest.mark.parametrize('chunk', [1, 70, 2**24])
@pytest.mark.parametrize('gate', GATES)
def test_against_a_double_loop(gate: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visual_guided_attention, 'CHUNK', chunk)
    neck, images, texts = VisualGuidedAttention(DIM, gate), torch.randn(7, DIM), torch.randn(5, DIM)
    scores = neck(images, texts)
    assert scores.shape == (7, 5)
    for i, image in enumerate(images):
        for j, text in enumerate(texts):
            expected = torch.cosine_similarity(image, guided(neck, image, text), dim=0)
            torch.testing.assert_close(scores[i, j], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('gate', GATES)
def test_the_image_decides_more_than_a_dual_encoder_could(gate: str) -> None:
    """Cosines of vectors of width D have rank D at most."""
    torch.manual_seed(0)
    neck = VisualGuidedAttention(DIM, gate)
    scores = neck(3 * torch.randn(20, DIM), 3 * torch.randn(20, DIM))
    assert torch.linalg.matrix_rank(scores, rtol=1e-4) > DIM


@pytest.mark.parametrize('gate', GATES)
def test_every_weight_trains_on_any_number_of_pairs(gate: str) -> None:
    neck = VisualGuidedAttention(DIM, gate)
    images, texts = torch.randn(4, DIM, requires_grad=True), torch.randn(3, DIM, requires_grad=True)
    neck(images, texts).square().sum().backward()
    assert all(part.grad.abs().sum() > 0 for part in (*neck.parameters(), images, texts))
    assert neck(images[:1], texts[:1]).shape == (1, 1)
    assert neck(images, texts[:0]).shape == (4, 0) and neck(images[:0], texts).shape == (0, 3)


@pytest.mark.parametrize('gate', GATES)
def test_a_text_without_a_value_breaks_nothing(gate: str) -> None:
    """ReLU may leave a text at zero."""
    neck, texts = VisualGuidedAttention(DIM, gate), torch.zeros(2, DIM, requires_grad=True)
    scores = neck(torch.randn(3, DIM), texts)
    scores.sum().backward()
    assert scores.isfinite().all() and texts.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in neck.parameters())


@pytest.mark.parametrize('gate', GATES)
def test_scores_are_in_full_precision(gate: str) -> None:
    neck = VisualGuidedAttention(DIM, gate)
    with torch.autocast('cpu', torch.bfloat16):
        scores = neck(torch.randn(3, DIM), torch.randn(2, DIM))
    assert scores.dtype == torch.float32 and scores.abs().max() <= 1 + 1e-5


def test_unknown_gate() -> None:
    with pytest.raises(ValueError, match="gate .*'hard'"):
        VisualGuidedAttention(DIM, 'hard')
