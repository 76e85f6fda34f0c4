"""Distances of distributions as terms of an objective."""

import pytest
import torch

from tests.models.helpers import domain_batch, total
from urbancross_mm.functional import alignment
from urbancross_mm.models import DomainDistanceLoss


@pytest.mark.parametrize('distance', ['mk_mmd', 'coral'])
def test_a_term_for_each_modality(distance: str) -> None:
    batch, function = domain_batch(9, 4), getattr(alignment, distance)
    terms = DomainDistanceLoss(distance, loss_weight=3.0)(batch)
    assert set(terms) == {'loss_distance_image', 'loss_distance_text'}
    scale = batch.source_image.shape[1] ** 0.5
    for modality in ('image', 'text'):
        source, target = (getattr(batch, f'{side}_{modality}') for side in ('source', 'target'))
        torch.testing.assert_close(
            terms[f'loss_distance_{modality}'], 3 * function(scale * source, scale * target)
        )
    total(terms).backward()
    assert all(rows.grad.abs().sum() > 0 for rows in batch[:4])


def test_mk_mmd_is_the_default() -> None:
    batch = domain_batch()
    assert DomainDistanceLoss()(batch) == DomainDistanceLoss('mk_mmd')(batch)


def test_unknown_distance() -> None:
    with pytest.raises(ValueError, match=r"one of \('mk_mmd', 'coral'\), got 'wasserstein'"):
        DomainDistanceLoss('wasserstein')
