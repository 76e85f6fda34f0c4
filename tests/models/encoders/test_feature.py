"""A linear map, and what it says about features of another width."""

import pytest
import torch
from mmengine.registry import DefaultScope

from urbancross_mm.models import CrossModalRetriever, FeatureEncoder
from urbancross_mm.registry import MODELS


def test_it_is_one_linear_map() -> None:
    with DefaultScope.overwrite_default_scope('urbancross_mm'):
        encoder = MODELS.build(dict(type='FeatureEncoder', in_channels=5, embed_dim=3))
    feats = torch.randn(4, 5)
    expected = feats @ encoder.projection.weight.T + encoder.projection.bias
    torch.testing.assert_close(encoder(feats), expected)
    assert encoder.pooled(feats) is feats and encoder.embed_dim == 3
    assert encoder(torch.zeros(0, 5)).shape == (0, 3)
    assert sorted(encoder.state_dict()) == ['projection.bias', 'projection.weight']


def test_dropout_in_training_only() -> None:
    encoder = FeatureEncoder(50, 3, dropout=0.5)
    feats = torch.randn(2, 50)
    assert not torch.equal(encoder(feats), encoder(feats))
    encoder.eval()
    assert torch.equal(encoder(feats), encoder(feats))


@pytest.mark.parametrize('shape', [(2, 4), (2, 3, 8, 8), (5,)])
def test_other_features_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf'in_channels is 5, .*{str(shape)[1:-1]}.*LoadFeatures'):
        FeatureEncoder(5, 3)(torch.zeros(shape))


def test_in_a_retriever() -> None:
    with DefaultScope.overwrite_default_scope('urbancross_mm'):
        model = CrossModalRetriever(
            image_encoder=dict(type='FeatureEncoder', in_channels=6, embed_dim=3),
            text_encoder=dict(type='FeatureEncoder', in_channels=4, embed_dim=3),
        )
    out = model(dict(image=torch.randn(2, 6), text=torch.randn(5, 4)))
    for name, size in (('image_embeds', 2), ('text_embeds', 5)):
        torch.testing.assert_close(out[name].norm(dim=1), torch.ones(size))
