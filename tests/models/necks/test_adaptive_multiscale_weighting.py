"""One vector for several scales."""

import pytest
import torch

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import AdaptiveMultiscaleWeighting

WIDTHS, DIM = (4, 6, 7), 5  # the last map is that of the encoder's own vector


def build(**options: object) -> AdaptiveMultiscaleWeighting:
    return AdaptiveMultiscaleWeighting(WIDTHS, DIM, **options)


def maps(batch: int = 3) -> list[torch.Tensor]:
    return [torch.randn(batch, width, side, side) for width, side in zip(WIDTHS, (8, 4, 2))]


@pytest.mark.parametrize('pool', ['avg', 'max'])
def test_its_product_with_a_text_is_the_mean_of_the_cosines(pool: str) -> None:
    neck, values, own = build(pool=pool), maps(), torch.randn(3, DIM)
    texts = normalize(torch.randn(7, DIM))
    pooled = [v.mean((2, 3)) if pool == 'avg' else v.amax((2, 3)) for v in values[:-1]]
    scales = [project(v) for project, v in zip(neck.projections, pooled)] + [own]
    cosines = torch.stack([torch.cosine_similarity(s[:, None], texts[None], -1) for s in scales])
    torch.testing.assert_close(neck(values, own) @ texts.t(), cosines.mean(0))


def test_learned_weights_start_equal_and_stay_a_mean() -> None:
    neck, values, own = build(weights='learned'), maps(), torch.randn(3, DIM)
    mean = build()
    mean.load_state_dict(neck.state_dict(), strict=False)
    torch.testing.assert_close(neck(values, own), mean(values, own))
    with torch.no_grad():
        neck.scale_logits.copy_(torch.tensor([9.0, -9.0, -9.0]))
    assert torch.isclose(neck.scale_weights.sum(), torch.tensor(1.0))
    torch.testing.assert_close(neck(values, own).norm(dim=1), torch.ones(3), atol=1e-3, rtol=0)


def test_every_scale_and_every_weight_gets_a_gradient() -> None:
    neck, values, own = build(weights='learned'), maps(), torch.randn(3, DIM)
    (neck(values, own) * torch.randn(3, DIM)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in neck.parameters())


def test_a_batch_of_one() -> None:
    values, own = [v[:1] for v in maps()], torch.randn(1, DIM)
    assert build()(values, own).shape == (1, DIM)


def test_no_vector_is_longer_than_one() -> None:
    assert (build()(maps(), torch.randn(3, DIM)).norm(dim=1) <= 1 + 1e-6).all()


@pytest.mark.parametrize('option', ['weights', 'pool'])
def test_unknown_options(option: str) -> None:
    with pytest.raises(ValueError, match=rf"weighting.{option}.*'other'"):
        build(**{option: 'other'})
