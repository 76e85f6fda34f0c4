"""Numbers of corrected scores, beside the plain ones."""

from __future__ import annotations

import pytest
import torch
from mmengine.logging import MMLogger

from tests.evaluation.metrics.test_pairs import recall
from tests.evaluation.metrics.test_recall_at_k import evaluate, world
from urbancross_mm.evaluation.metrics import reranked
from urbancross_mm.functional.reranking import inverted_softmax, multivariate_rerank

CASES = {
    'multivariate': (dict(candidates=4, share_weight=1.0, reverse_weight=0.7), multivariate_rerank),
    'inverted_softmax': (dict(scale=7.0), inverted_softmax),
}


@pytest.mark.parametrize('kind', CASES)
def test_against_the_whole_matrix(kind: str) -> None:
    options, correct = CASES[kind]
    samples = world(num_texts=200)  # hardly any equal captions
    metrics = evaluate(samples, rerank=dict(type=kind, **options))
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    rows = [(i, t) for i, s in enumerate(samples) for t in s.caption_text_ids]
    images = torch.stack([s.image_embeds for s in samples]).double()
    scores = images @ torch.stack([vectors[t] for _, t in rows]).double().t()
    own = torch.tensor([[i == j for j, _ in rows] for i in range(len(samples))])
    values = []
    for side, matrix, right in (('i2t', scores, own), ('t2i', scores.t(), own.t())):
        for k in (1, 5, 10):
            values.append(metrics[f'retrieval/rerank/{side}_R@{k}'])
            # Ties of equal captions are few: they move a hit here and there.
            assert values[-1] == pytest.approx(
                recall(correct(matrix, **options), right, k), abs=2.5
            )
    assert metrics['retrieval/rerank/mR'] == pytest.approx(sum(values) / 6)


def test_the_plain_numbers_stay() -> None:
    plain, more = evaluate(world()), evaluate(world(), rerank=dict(type='multivariate'))
    assert plain == {name: more[name] for name in plain}
    added = {name for name in more if name not in plain}
    assert added and all(name.startswith('retrieval/rerank/') for name in added)
    assert more['retrieval/rerank/t2i_MeanR'] != plain['retrieval/t2i_MeanR']


@pytest.mark.parametrize('kind', CASES)
def test_perfect_and_collapsed_models(kind: str) -> None:
    rerank = dict(type=kind)
    perfect = evaluate(world(num_texts=13, model='perfect'), rerank=rerank)
    assert perfect['retrieval/rerank/mR'] == 100
    collapsed = evaluate(world(model='collapsed'), rerank=rerank)
    for name in ('i2t_R@5', 't2i_R@1', 'mR'):
        plain = collapsed[f'retrieval/{name}']
        assert collapsed[f'retrieval/rerank/{name}'] == pytest.approx(plain)


def test_a_hub_is_corrected() -> None:
    """One image is close to every text; without it, each text would find its own."""
    samples = world(num_texts=13, model='perfect')
    for sample in samples:
        sample.text_embeds = 0.6 * sample.text_embeds
        sample.text_embeds[:, 0] += 0.8
    metrics = evaluate(samples, rerank=dict(type='inverted_softmax'))
    assert metrics['retrieval/t2i_R@1'] < 10 < metrics['retrieval/rerank/t2i_R@1']
    assert metrics['retrieval/rerank/t2i_R@1'] == 100


def test_it_says_which_protocol_it_is(caplog: pytest.LogCaptureFixture) -> None:
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        evaluate(world(), rerank=dict(type='inverted_softmax', dynamic=True))
    finally:
        logger.removeHandler(caplog.handler)
    (line,) = [text for text in caplog.messages if 'rerank/' in text]
    assert 'type=inverted_softmax, dynamic=True' in line and 'transductive' in line


def test_a_matrix_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranked, 'MAX_SCORES', 800)
    with pytest.raises(ValueError, match='13 images x 65 captions = 845; the limit is 800'):
        evaluate(world(), rerank=dict(type='multivariate'))
    evaluate(world())


@pytest.mark.parametrize(
    ('rerank', 'named'),
    [
        (dict(type='softmax'), "'softmax'"),
        (dict(), 'None'),
        (dict(type='multivariate', scale=3), "'scale': 3"),
        (dict(type='multivariate', candidates=0), 'got 0'),
        (dict(type='inverted_softmax', scale=-1), 'got -1'),
    ],
)
def test_bad_options_are_refused_at_once(rerank: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate([], rerank=rerank)
