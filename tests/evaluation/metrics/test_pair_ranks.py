"""Recall of a model that scores pairs, against loops over the pairs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.evaluation.metrics.test_recall_at_k import WIDTH, evaluate, naive, world
from tests.ranks import run_on_ranks
from urbancross_mm.evaluation import LabelFreeMetric, ModalGapMetric
from urbancross_mm.evaluation.metrics.pair_ranks import bidirectional_ranks
from urbancross_mm.functional import ranking
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.structures import RetrievalDataSample


def score_of(image: Tensor, text: Tensor) -> Tensor:
    """A gate without weights: no matrix product gives it."""
    return torch.cosine_similarity(image, (3 * image * text).sigmoid() * text, dim=-1)


def scorer(images: Tensor, texts: Tensor) -> Tensor:
    return score_of(images.double()[:, None], texts.double()[None])


def gated(**settings: object) -> list[RetrievalDataSample]:
    """The world of the other tests, with a score in each sample."""
    samples = world(**settings)
    for sample in samples:
        sample.set_data(dict(score_pairs=scorer))
    return samples


def naive_metrics(samples: list[RetrievalDataSample], topk: tuple = (1, 5, 10)) -> dict[str, float]:
    """Every pair scored alone; the mean over all orders of the tied, by drawing from an urn."""
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    captions = [(i, t) for i, s in enumerate(samples) for t in s.caption_text_ids]
    table = [
        [float(score_of(s.image_embeds.double(), vectors[t].double())) for _, t in captions]
        for s in samples
    ]
    i2t = [(row, [owner == i for owner, _ in captions]) for i, row in enumerate(table)]
    t2i = [
        ([row[j] for row in table], [i == owner for i in range(len(samples))])
        for j, (owner, _) in enumerate(captions)
    ]
    return {
        f'retrieval/{side}_R@{k}': 100 * sum(hit(*query, k) for query in queries) / len(queries)
        for side, queries in (('i2t', i2t), ('t2i', t2i))
        for k in topk
    }


def hit(scores: list[float], right: list[bool], k: int) -> float:
    """Probability that a right item is among the first k."""
    best = max(score for score, good in zip(scores, right) if good)
    above = sum(score > best + 1e-12 for score in scores)
    tied = [good for score, good in zip(scores, right) if abs(score - best) <= 1e-12]
    places = min(max(k - above, 0), len(tied))
    wrong = len(tied) - sum(tied)
    return 1 - math.comb(wrong, places) / math.comb(len(tied), places)


@pytest.mark.parametrize('num_texts', [65, 20, 4])
def test_recall_equals_a_loop_over_pairs(num_texts: int) -> None:
    """Few texts: the same caption of several images, whose scores tie."""
    samples = gated(num_texts=num_texts)
    metrics = evaluate(samples, extra='MRR')
    for name, value in naive_metrics(samples).items():
        assert metrics[name] == pytest.approx(value, abs=1e-9), name
    assert (metrics['retrieval/num_images'], metrics['retrieval/num_texts']) == (13, 65)
    # Cosines would be something else, and would not be told apart by their names.
    assert metrics['retrieval/mR'] != pytest.approx(naive(samples, False)['mR'])


def test_products_as_scores_give_the_ranks_of_vectors() -> None:
    """The other path is an oracle: its ranks come from embeddings, at any precision."""
    torch.manual_seed(0)
    images, texts = torch.randn(150, WIDTH), torch.randn(400, WIDTH)
    texts[50:60] = texts[:10]
    pairs = torch.randint(150, (400,)), torch.arange(400)
    expected = ranking.bidirectional_ranks(images, texts, *pairs, distractors=True)
    found = bidirectional_ranks(images, texts, *pairs, lambda i, t: i.double() @ t.double().t())
    for one, other in zip(expected, found):
        assert all(torch.equal(*counts) for counts in zip(one, other))
    without = bidirectional_ranks(images, texts, *pairs, None)
    assert all(torch.equal(a, b) for x, y in zip(expected, without) for a, b in zip(x, y))


@pytest.mark.parametrize('chunk_size', [1, 7, 13, 64])
def test_the_chunk_size_makes_no_difference(chunk_size: int) -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(13, WIDTH), torch.randn(30, WIDTH)
    texts[3] = texts[20]
    asked: list[int] = []

    def counted(some: Tensor, others: Tensor) -> Tensor:
        asked.append(len(some))
        return scorer(some, others)

    # One pair is named twice, and images 10 to 12 have none.
    pairs = torch.arange(31) % 10, torch.arange(31) % 30
    found = bidirectional_ranks(images, texts, *pairs, counted, chunk_size)
    expected = bidirectional_ranks(images, texts, *(p[:30] for p in pairs), scorer, 13)
    assert all(torch.equal(a, b) for x, y in zip(found, expected) for a, b in zip(x, y))
    assert max(asked[1:]) == min(chunk_size, 13) and len(found[0].above) == 10
    with pytest.raises(ValueError, match='chunk_size .* 0'):
        bidirectional_ranks(images, texts, *pairs, scorer, 0)


def test_a_collapsed_model_gets_chance() -> None:
    metrics = evaluate(gated(captions=1, model='collapsed'))
    for side in ('i2t', 't2i'):
        for k in (1, 5, 10):
            assert metrics[f'retrieval/{side}_R@{k}'] == pytest.approx(100 * k / 13, abs=1e-9)


def test_broken_weights_do_not_rank_perfectly() -> None:
    samples = world()
    for sample in samples:
        sample.set_data(dict(score_pairs=lambda i, t: scorer(i, t) * torch.nan))
    with pytest.raises(ValueError, match='NaN'):
        evaluate(samples)


def test_domains_order_and_padding() -> None:
    samples = gated()
    metrics = evaluate(samples)
    assert evaluate([*samples[::-1], *samples[:4]], batch_size=3) == metrics
    inside = [s for s in samples if s.domain == 'finland']
    for sample in inside:  # its texts may have been encoded with an image of the other domain
        vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
        sample.set_metainfo(dict(text_ids=list(dict.fromkeys(sample.caption_text_ids))))
        sample.text_embeds = torch.stack([vectors[t] for t in sample.text_ids])
    for name, value in naive_metrics(inside).items():
        assert metrics[name.replace('/', '/finland/')] == pytest.approx(value, abs=1e-9), name


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match='mAP'):
        evaluate(gated(), extra='mAP')
    for metric in (LabelFreeMetric(), ModalGapMetric()):
        with pytest.raises(ValueError, match=f'{type(metric).__name__} .* RecallAtK'):
            metric.process(None, [sample.to_dict() for sample in gated()])


def on_a_rank(rank: int) -> dict[str, float]:
    return evaluate(gated()[rank::2])


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    assert run_on_ranks(on_a_rank, tmp_path) == [evaluate(gated())] * 2


def test_images_are_compared_with_their_views_by_the_cosine() -> None:
    torch.manual_seed(1)  # not that of the images: their noise would be themselves
    samples = gated()
    for sample in samples:
        sample.image_view_embeds = sample.image_embeds + torch.randn(WIDTH)
    metrics = evaluate(samples, pairs=['image-image'])
    for sample in samples:  # lengths say nothing here
        sample.set_data(dict(score_pairs=lambda i, t: scorer(normalize(i), t)))
        sample.image_embeds = sample.image_embeds * float(torch.rand(1) + 0.1)
        sample.image_view_embeds = sample.image_view_embeds * float(torch.rand(1) + 0.1)
    assert evaluate(samples, pairs=['image-image']) == metrics
    assert 0 < metrics['retrieval/i2i_R@5'] < 100


def test_scores_of_pairs_are_corrected_too() -> None:
    samples = world(num_texts=30)
    expected = evaluate(samples, rerank=dict(type='inverted_softmax'))
    for sample in samples:
        sample.set_data(dict(score_pairs=lambda i, t: i.double() @ t.double().t()))
    assert evaluate(samples, rerank=dict(type='inverted_softmax')) == pytest.approx(expected)
    other = evaluate(gated(num_texts=30), rerank=dict(type='inverted_softmax'))
    assert other['retrieval/rerank/mR'] != expected['retrieval/rerank/mR']
