"""Each domain with its own batch statistics, and the target's alone remembered."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.models.helpers import (
    EMBED_DIM,
    batch,
    cross_modal,
    total,
    urbancross,
)
from tests.ranks import run_on_ranks
from urbancross_mm.models import CrossModalRetriever
from urbancross_mm.models.adaptation.embed import (
    batch_norms,
    embed_domains,
    statistics_kept,
)

BACKBONE = dict(
    type='BackboneEncoder',
    embed_dim=EMBED_DIM,
    in_channels=64,
    backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8),
)
IS_TARGET = torch.tensor([False, True, False, False, True, False, True, False])


def with_norm(**kwargs: object) -> CrossModalRetriever:
    return cross_modal(image_encoder=BACKBONE, **kwargs).train()


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if 'running' in name}


def test_each_domain_is_embedded_as_if_alone() -> None:
    model, (inputs, _) = with_norm(), batch(8)
    clone = copy.deepcopy(model)
    got = embed_domains(model, inputs, IS_TARGET)
    together = clone.embed(inputs)
    for domain in (IS_TARGET, ~IS_TARGET):
        alone = clone.embed({name: rows[domain] for name, rows in inputs.items()})
        for name, rows in alone.items():
            torch.testing.assert_close(got[name][domain], rows)
    assert not torch.allclose(got['image_embeds'], together['image_embeds'], atol=1e-3)
    torch.testing.assert_close(got['text_embeds'], together['text_embeds'])


def test_only_the_target_s_statistics_are_kept() -> None:
    model, (inputs, _) = with_norm(), batch(8)
    clone, before = copy.deepcopy(model), statistics(model)
    embed_domains(model, inputs, IS_TARGET)
    clone.embed({name: rows[IS_TARGET] for name, rows in inputs.items()})
    for name, value in statistics(model).items():
        assert torch.equal(value, statistics(clone)[name])
        assert not torch.equal(value, before[name])


@pytest.mark.parametrize('momentum', [0.1, None])
def test_the_momentum_comes_back_also_after_an_error(momentum: float | None) -> None:
    model, (inputs, _) = with_norm(), batch(8)
    for layer in batch_norms(model):
        layer.momentum = momentum
    before = statistics(model)
    with pytest.raises(RuntimeError, match='in between'), statistics_kept(model):
        model.embed(inputs)
        raise RuntimeError('in between')
    assert all(torch.equal(value, before[name]) for name, value in statistics(model).items())
    assert {layer.momentum for layer in batch_norms(model)} == {momentum}


@pytest.mark.parametrize(
    'build',
    [
        cross_modal,
        lambda: with_norm().eval(),
        lambda: cross_modal(image_encoder=dict(BACKBONE, norm_eval=True)).train(),
    ],
    ids=['without', 'eval', 'norm_eval'],
)
def test_without_batch_norm_in_training_the_domains_go_together(build) -> None:
    model, (inputs, _) = build(), batch(8)
    calls = []
    model.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    got, expected = embed_domains(model, inputs, IS_TARGET), model.embed(inputs)
    assert all(torch.equal(got[name], rows) for name, rows in expected.items())
    assert len(calls) == 2


@pytest.mark.parametrize('value', [True, False])
@pytest.mark.parametrize('segments', [True, False])
def test_a_rank_with_one_domain(value: bool, segments: bool) -> None:
    """It embeds as ever, but of a source alone it remembers nothing."""
    model, (inputs, _) = with_norm(), batch(8)
    clone, before = copy.deepcopy(model), statistics(model)
    expected = clone.embed(inputs)
    got = embed_domains(model, inputs, torch.full((8,), value), segments)
    assert all(torch.equal(got[name], rows) for name, rows in expected.items())
    kept = statistics(clone) if value else before
    assert all(torch.equal(rows, kept[name]) for name, rows in statistics(model).items())


def test_without_a_momentum_the_source_does_not_weigh_in() -> None:
    model, (inputs, _) = with_norm(), batch(8)
    for layer in batch_norms(model):
        layer.reset_running_stats()
        layer.momentum = None
    clone = copy.deepcopy(model)
    for _ in range(2):
        embed_domains(model, inputs, IS_TARGET)
        clone.embed({name: rows[IS_TARGET] for name, rows in inputs.items()})
    assert all(
        torch.equal(rows, statistics(clone)[name]) for name, rows in statistics(model).items()
    )


def steps_on_a_rank(rank: int) -> list[dict[str, Tensor]]:
    """Two steps; rank 1 has target items in the first alone."""
    torch.manual_seed(rank)
    model = cross_modal(image_encoder=BACKBONE, adaptation=dict(target='spain')).train()
    results = []
    for targets in (2, 2 if rank == 0 else 0):
        inputs, samples = batch(6)
        del inputs['segments'], inputs['segment_mask']
        for row, sample in enumerate(samples):
            is_target = row < targets
            sample.set_metainfo(
                dict(img_id=f'{rank}/{row}', domain='spain' if is_target else 'finland')
            )
            if is_target:
                sample.set_metainfo(dict(caption_text_ids=[]))
        total(model(inputs, samples, mode='loss')).backward()
        results.append(statistics(model))
    return results


def test_two_ranks_of_which_one_is_without_a_target_item(tmp_path: Path) -> None:
    first, second = run_on_ranks(steps_on_a_rank, tmp_path)
    assert all(torch.equal(rows, second[0][name]) for name, rows in second[1].items())
    # Rank 0, which writes the checkpoints, never lacks a target item: see the sampler.
    assert not any(torch.equal(rows, first[0][name]) for name, rows in first[1].items())


def test_segments_and_gradients_of_both_domains() -> None:
    model, (inputs, _) = urbancross('trainable', image_encoder=BACKBONE).train(), batch(8)
    inputs['image'].requires_grad_()
    embeds = embed_domains(model, inputs, IS_TARGET)
    assert set(embeds) == {'image_embeds', 'text_embeds', 'segment_embeds'}
    total({f'loss_{name}': rows[:, 0].sum() for name, rows in embeds.items()}).backward()
    assert (inputs['image'].grad.flatten(1).abs().sum(1) > 0).all()
