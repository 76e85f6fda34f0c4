"""Images by another view of them: the numbers, and that the views are the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate

from tests.evaluation.metrics.test_pairs import recall, spoken
from tests.evaluation.metrics.test_recall_at_k import WIDTH, evaluate, world
from tests.models.helpers import cross_modal
from tests.models.test_image_views import SIDE, items
from tests.ranks import run_on_ranks
from tests.runs import CONFIGS
from urbancross_mm.apis import load_config
from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.structures import RetrievalDataSample

I2I = ('image-image',)


def with_views(samples: list[RetrievalDataSample], noise: float = 0.5) -> list[RetrievalDataSample]:
    generator = torch.Generator().manual_seed(5)
    for sample in samples:
        view = torch.randn(len(sample.image_embeds), generator=generator)
        sample.image_view_embeds = normalize(sample.image_embeds + noise * view)
    return samples


def test_against_a_naive_protocol() -> None:
    samples = with_views(world())
    metrics = evaluate(samples, pairs=I2I)
    images, views = (
        torch.stack([getattr(sample, name) for sample in samples])
        for name in ('image_embeds', 'image_view_embeds')
    )
    scores, own = images @ views.t(), torch.eye(len(samples), dtype=torch.bool)
    recalls = []
    for k in (1, 5, 10):
        recalls.append((recall(scores, own, k) + recall(scores.t(), own, k)) / 2)
        assert metrics[f'retrieval/i2i_R@{k}'] == pytest.approx(recalls[-1], abs=1e-3)
    assert metrics['retrieval/mR_image-image'] == pytest.approx(sum(recalls) / 3, abs=1e-3)
    ranks = [
        1 + (matrix > matrix.diagonal()[:, None]).sum(dim=1).double()
        for matrix in (scores, scores.t())
    ]
    assert ranks[0].mean() != ranks[1].mean()
    expected = sum(rank.mean().item() for rank in ranks) / 2
    assert metrics['retrieval/i2i_MeanR'] == pytest.approx(expected)
    assert not any('v2i' in name or 'i2v' in name for name in metrics)


def test_both_aggregates_of_mcrn() -> None:
    metrics = evaluate(with_views(spoken()), pairs=['image-audio', *I2I])
    sides = ('i2t', 't2i', 'i2a', 'a2i', 'i2i')
    recalls = {side: [metrics[f'retrieval/{side}_R@{k}'] for k in (1, 5, 10)] for side in sides}
    fifteen = [value for values in recalls.values() for value in values]
    assert len(fifteen) == 15
    assert metrics['retrieval/mR_recalls'] == pytest.approx(sum(fifteen) / 15)
    groups = [
        sum(recalls['i2t'] + recalls['t2i']) / 6,
        sum(recalls['i2a'] + recalls['a2i']) / 6,
        sum(recalls['i2i']) / 3,
    ]
    assert metrics['retrieval/mR_pairs'] == pytest.approx(sum(groups) / 3)
    assert metrics['retrieval/mR_pairs'] != pytest.approx(metrics['retrieval/mR_recalls'])


def test_the_aggregates_of_the_config_are_those_of_mcrn() -> None:
    pairs = load_config(CONFIGS / 'mcrn/mcrn.py').val_evaluator.pairs
    samples = with_views(spoken())
    found, mcrn = evaluate(samples, pairs=pairs), evaluate(samples, pairs=['image-audio', *I2I])
    for name in ('retrieval/mR_recalls', 'retrieval/mR_pairs'):
        assert found[name] == pytest.approx(mcrn[name])
    own = [found[f'retrieval/{side}_R@{k}'] for side in ('t2a', 'a2t') for k in (1, 5, 10)]
    assert found['retrieval/mR_text-audio'] == pytest.approx(sum(own) / 6)
    assert found['retrieval/mR_text-audio'] != pytest.approx(found['retrieval/mR_pairs'])


def test_image_and_text_stay_what_they_are_alone() -> None:
    alone, more = evaluate(world()), evaluate(with_views(world()), pairs=I2I, extra=['mAP', 'MRR'])
    assert all(more[name] == value for name, value in alone.items())
    assert {'retrieval/i2i_mAP', 'retrieval/i2i_MRR'} <= more.keys()


def test_padding_and_perfect_and_collapsed_models() -> None:
    samples = with_views(world())
    assert evaluate([*samples, *samples[:5]], pairs=I2I) == evaluate(samples, pairs=I2I)
    assert evaluate(with_views(world(), noise=0.0), pairs=I2I)['retrieval/i2i_R@1'] == 100
    collapsed = with_views(world(model='collapsed'), noise=0.0)
    assert evaluate(collapsed, pairs=I2I)['retrieval/i2i_R@1'] == pytest.approx(100 / 13)


def test_what_is_missing() -> None:
    with pytest.raises(KeyError, match='image_view_embeds.*data_preprocessor.image_view'):
        evaluate(world(), pairs=I2I)
    samples = with_views(world())
    samples[3].image_view_embeds[0] = torch.nan
    with pytest.raises(ValueError, match='image_view embeddings hold NaN.*set/003'):
        evaluate(samples, pairs=I2I)
    for pair in ('text-text', 'text-image', 'image-text', 'image-'):
        with pytest.raises(ValueError, match=pair):
            evaluate(samples, pairs=[pair])


def model(seed: int) -> Any:
    torch.manual_seed(0)
    preprocessor = dict(type='urbancross_mm.RetrievalDataPreprocessor', image_view=dict(seed=seed))
    return cross_modal(data_preprocessor=preprocessor).eval()


def run(seed: int = 0, batch_size: int = 4, rank: int = 0, ranks: int = 1) -> dict[str, float]:
    """Validate on the items of one rank, encoded in batches."""
    retriever, metric, data = model(seed), RecallAtK(pairs=I2I), items(12)[rank::ranks]
    for start in range(0, len(data), batch_size):
        with torch.no_grad():
            samples = retriever.val_step(pseudo_collate(data[start : start + batch_size]))
        metric.process(None, [sample.to_dict() for sample in samples])
    tensors = [
        value
        for record in metric.results
        for value in record.values()
        if isinstance(value, torch.Tensor)
    ]
    # No pixel is kept: an image and its view, and a text, of the model's width.
    assert sum(value.numel() for value in tensors) == len(data) * 3 * WIDTH
    assert all(value.untyped_storage().nbytes() == 4 * value.numel() for value in tensors)
    assert len(data) * 3 * WIDTH < 3 * SIDE * SIDE
    return metric.evaluate(12)


def on_rank(rank: int) -> dict[str, float]:
    return run(batch_size=2, rank=rank, ranks=2)


def test_two_evaluations_are_equal_and_another_seed_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run()
    torch.randn(5)
    assert run() == first
    assert run(seed=1)['retrieval/i2i_MeanR'] != first['retrieval/i2i_MeanR']
    for size in (1, 5, 12):
        assert run(batch_size=size) == pytest.approx(first)
    assert not list(tmp_path.iterdir())  # nothing is cached
    (tmp_path / 'ranks').mkdir()
    for metrics in run_on_ranks(on_rank, tmp_path / 'ranks'):
        assert metrics == pytest.approx(first)
