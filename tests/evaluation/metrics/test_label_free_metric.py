"""The metric on images and texts that nobody has paired, at any sharding."""

import logging
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from tests.evaluation.metrics.test_recall_at_k import world
from tests.ranks import run_on_ranks
from urbancross_mm.evaluation import LabelFreeMetric
from urbancross_mm.functional import label_free
from urbancross_mm.structures import RetrievalDataSample

SCORES = {'agreement', 'entropy_i2t', 'entropy_t2i', 'hubness_i2t', 'hubness_t2i'}
DISTANCES = {'a_distance_image', 'a_distance_text'}


def evaluate(samples: list[RetrievalDataSample], batch_size: int = 4, **settings) -> dict:
    evaluator = Evaluator([dict(type='urbancross_mm.LabelFreeMetric', **settings)])
    for start in range(0, len(samples), batch_size):
        evaluator.process(data_samples=samples[start : start + batch_size], data_batch=None)
    return evaluator.evaluate(len(samples))


def carry_elsewhere(samples: list[RetrievalDataSample]) -> list[RetrievalDataSample]:
    """The same images and the same texts, the texts of each domain dealt to any images."""
    dealt = [sample.clone() for sample in samples]
    for domain in {sample.domain for sample in samples}:
        inside = [sample for sample in dealt if sample.domain == domain]
        ids = [i for s in inside for i in s.text_ids]
        embeds = torch.cat([s.text_embeds for s in inside])
        order = torch.randperm(len(ids))
        owner = torch.randint(len(inside), (len(ids),))
        for position, sample in enumerate(inside):
            own = order[owner == position]
            sample.set_metainfo(
                dict(text_ids=[ids[i] for i in own], captions=['?'], caption_text_ids=[-1, -2])
            )
            sample.text_embeds = embeds[own]
    return dealt


def test_scores_are_those_of_the_functions_on_distinct_items() -> None:
    samples = world(num_images=30, num_texts=40)
    metrics = evaluate(samples, scale=20.0, k=4)
    images = torch.stack([s.image_embeds for s in samples])
    texts = torch.cat([s.text_embeds for s in samples])
    expected = dict(
        agreement=label_free.structure_agreement(images, texts),
        entropy_i2t=label_free.retrieval_entropy(images, texts, 20.0),
        entropy_t2i=label_free.retrieval_entropy(texts, images, 20.0),
        hubness_i2t=label_free.hubness(images, texts, 4),
        hubness_t2i=label_free.hubness(texts, images, 4),
    )
    assert metrics == {
        f'label_free/{name}': pytest.approx(value, abs=1e-6) for name, value in expected.items()
    }


@pytest.mark.parametrize('target', [None, 'spain'])
def test_no_pair_is_read(target: str | None) -> None:
    samples = world(num_images=30, num_texts=40)
    expected = evaluate(samples, target=target)
    for _ in range(3):
        assert evaluate(carry_elsewhere(samples), target=target) == expected
    for sample in samples:
        del sample.caption_text_ids
    assert evaluate(samples, target=target) == expected


def test_the_target_is_scored_alone_and_compared_with_the_rest() -> None:
    samples = world(num_images=30, num_texts=200)
    metrics = evaluate(samples, target='spain')
    assert set(metrics) == {f'label_free/{name}' for name in SCORES | DISTANCES}
    inside = [sample for sample in samples if sample.domain == 'spain']
    alone = evaluate(inside, target='spain')
    assert set(alone) == {f'label_free/{name}' for name in SCORES}
    assert alone == evaluate(inside) == {name: metrics[name] for name in alone}
    rest = [sample for sample in samples if sample.domain != 'spain']
    assert metrics['label_free/a_distance_image'] == label_free.proxy_a_distance(
        torch.stack([s.image_embeds for s in rest]), torch.stack([s.image_embeds for s in inside])
    )
    assert set(evaluate(samples)) == set(alone)


def test_domains_that_differ_in_their_images_only() -> None:
    samples = world(num_images=60, num_texts=300)
    for sample in samples:
        sample.image_embeds = sample.image_embeds + 9 * (sample.domain == 'spain')
    metrics = evaluate(samples, target='spain')
    assert metrics['label_free/a_distance_image'] > 1.7
    assert metrics['label_free/a_distance_text'] < 0.8


def test_a_text_of_both_domains_counts_in_both() -> None:
    samples = world(num_images=12, num_texts=30, captions=1)
    shared = samples[0].text_embeds
    for sample in samples:
        sample.set_metainfo(dict(text_ids=[*sample.text_ids, 77]))
        sample.text_embeds = torch.cat([sample.text_embeds, shared])
    inside = [sample for sample in samples if sample.domain == 'spain']
    assert (
        evaluate(samples, target='spain')['label_free/entropy_i2t']
        == evaluate(inside)['label_free/entropy_i2t']
    )


def test_batches_order_and_padding_do_not_matter() -> None:
    samples = world()
    expected = evaluate(samples)
    assert evaluate(samples, batch_size=1) == expected
    assert evaluate([*samples[::-1], *samples[:5], samples[0]]) == expected


def test_collapsed_and_perfect_models() -> None:
    collapsed = evaluate(world(captions=1, model='collapsed'))
    assert collapsed['label_free/agreement'] == 0
    assert collapsed['label_free/entropy_i2t'] == pytest.approx(1)
    assert collapsed['label_free/hubness_t2i'] == pytest.approx(0)
    perfect = evaluate(world(model='perfect'), k=1)
    assert perfect['label_free/entropy_t2i'] < 1e-6 and perfect['label_free/hubness_t2i'] == 0


def test_what_was_scored_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(
        'urbancross_mm.evaluation.metrics.label_free_metric.print_log',
        lambda text, logger, level=logging.INFO: said.append(text),
    )
    evaluate(world(), target='spain')
    assert len(said) == 1 and '8 images' in said[0] and 'target domain spain' in said[0]


def without_texts(samples: list[BaseDataElement]) -> None:
    for sample in samples:
        sample.set_metainfo(dict(text_ids=[]))
        sample.text_embeds = sample.text_embeds[:0]


@pytest.mark.parametrize(
    ('spoil', 'error', 'message'),
    [
        (lambda s: s.clear(), ValueError, 'LabelFreeMetric collected no sample'),
        (lambda s: s[1].pop('image_embeds'), KeyError, "'set/001' has no 'image_embeds'"),
        (without_texts, ValueError, '13 images, but no text was encoded'),
    ],
)
def test_bad_samples_are_named(spoil, error, message: str) -> None:
    samples = world()
    spoil(samples)
    with pytest.raises(error, match=message):
        evaluate(samples)


def test_one_id_of_two_images_is_refused_and_nan_is_named() -> None:
    samples = world()
    other = samples[3].clone()
    for sample, path in ((samples[3], 'a/1.png'), (other, 'b/1.png')):
        sample.set_metainfo(dict(img_path=path))
    with pytest.raises(ValueError, match="'set/003', a/1.png and b/1.png"):
        evaluate([*samples, other])
    samples[3].image_embeds = samples[3].image_embeds / 0
    with pytest.raises(ValueError, match='1 of 13 .*NaN .*set/003'):
        evaluate(samples)


def test_an_absent_target_is_named() -> None:
    with pytest.raises(ValueError, match="'italy'.* 'finland', 'spain'"):
        evaluate(world(), target='italy')


@pytest.mark.parametrize('settings', [dict(scale=0.0), dict(k=0)])
def test_bad_settings_fail_before_training(settings: dict) -> None:
    with pytest.raises(ValueError, match=f'got .*{next(iter(settings.values()))}'):
        LabelFreeMetric(**settings)


def on_a_rank(rank: int) -> dict:
    """Share 13 images; the padding repeats one."""
    samples = world()
    metric = LabelFreeMetric(target='spain')
    metric.process(None, [samples[i].to_dict() for i in [*range(13), 0][rank::2]])
    return metric.evaluate(len(samples))


def test_two_ranks_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'meet').mkdir()
    ranks = run_on_ranks(on_a_rank, tmp_path / 'meet')
    assert ranks == [evaluate(world(), target='spain')] * 2


def test_images_that_are_not_for_retrieval_are_left_out() -> None:
    samples = world(num_images=12)
    masked = samples[0].clone()
    masked.set_metainfo(dict(img_id='masks/0', text_ids=[], for_retrieval=False))
    masked.text_embeds = masked.text_embeds[:0]
    assert evaluate([*samples, masked]) == evaluate(samples)
