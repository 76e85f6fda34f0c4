"""The metric against a naive protocol, at any sharding, and on collapsed and perfect models."""

import logging
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from tests.ranks import run_on_ranks
from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.registry import METRICS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.ids import stable_id

WIDTH = 16


def world(
    num_images: int = 13,
    num_texts: int = 20,
    captions: int = 5,
    seed: int = 0,
    model: str = 'random',
) -> list[RetrievalDataSample]:
    """Samples as ``predict`` leaves them: a text is encoded with the first image that has it."""
    generator = torch.Generator().manual_seed(seed)
    images = normalize(torch.randn(num_images, WIDTH, generator=generator))
    vectors = normalize(torch.randn(num_texts, WIDTH, generator=generator))
    choice = torch.randint(num_texts, (num_images, captions), generator=generator)
    if model == 'collapsed':
        images[:], vectors[:] = images[0], images[0]
    if model == 'perfect':
        choice = torch.arange(num_images)[:, None].expand(-1, captions)
        images = vectors = torch.eye(num_images)
    samples, encoded = [], set()
    for i, picked in enumerate(choice.tolist()):
        new = [t for t in dict.fromkeys(picked) if t not in encoded]
        encoded.update(new)
        sample = RetrievalDataSample(
            metainfo=dict(
                img_id=f'set/{i:03d}',
                domain='spain' if i % 3 else 'finland',
                caption_text_ids=[stable_id(f'text {t}') for t in picked],
                text_ids=[stable_id(f'text {t}') for t in new],
            )
        )
        sample.image_embeds, sample.text_embeds = images[i], vectors[new]
        samples.append(sample)
    return samples


def evaluate(samples: list[RetrievalDataSample], batch_size: int = 4, **settings) -> dict:
    evaluator = Evaluator([dict(type='urbancross_mm.RecallAtK', **settings)])
    for start in range(0, len(samples), batch_size):
        evaluator.process(data_samples=samples[start : start + batch_size], data_batch=None)
    return evaluator.evaluate(len(samples))


def naive(samples: list[RetrievalDataSample], equal_captions: bool) -> dict[str, float]:
    """The protocol with a full score matrix and expected ties, a query at a time."""
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    rows = [(i, t) for i, s in enumerate(samples) for t in s.caption_text_ids]
    images = torch.stack([s.image_embeds for s in samples])
    scores = images @ torch.stack([vectors[t] for _, t in rows]).t()
    right = torch.tensor(
        [
            [i == j or (equal_captions and t in s.caption_text_ids) for j, t in rows]
            for i, s in enumerate(samples)
        ]
    )
    result = {}
    for side, matrix, mask in (('i2t', scores, right), ('t2i', scores.t(), right.t())):
        for k in (1, 5, 10):
            hits = []
            for row, good in zip(matrix, mask):
                best = row[good].max()
                tied = (row - best).abs() < 1e-6
                above = int(((row > best) & ~tied & ~good).sum())
                t, p = int((tied & ~good).sum()), int((tied & good).sum())
                miss = 1.0
                for j in range(k - above):
                    miss *= max(t - j, 0) / (t + p - j) if t > j else 0.0
                hits.append(1 - miss)
            result[f'{side}_R@{k}'] = 100 * sum(hits) / len(hits)
    result['mR'] = sum(result.values()) / 6
    return result


@pytest.mark.parametrize('equal_captions', [False, True])
def test_matches_the_naive_protocol(equal_captions: bool) -> None:
    samples = world()
    metrics = evaluate(samples, equal_captions=equal_captions)
    for name, value in naive(samples, equal_captions).items():
        assert metrics[f'retrieval/{name}'] == pytest.approx(value, abs=1e-6), name
    assert (metrics['retrieval/num_images'], metrics['retrieval/num_texts']) == (13, 65)
    assert {name for name in metrics if name.count('/') == 1} == {
        f'retrieval/{name}'
        for name in (
            'i2t_R@1',
            'i2t_R@5',
            'i2t_R@10',
            't2i_R@1',
            't2i_R@5',
            't2i_R@10',
            'mR',
            'i2t_MedR',
            'i2t_MeanR',
            't2i_MedR',
            't2i_MeanR',
            'num_images',
            'num_texts',
        )
    }


def test_equal_captions_never_lower_a_score() -> None:
    samples = world(num_texts=6)
    plain, equal = evaluate(samples), evaluate(samples, equal_captions=True)
    assert all(equal[name] >= plain[name] - 1e-9 for name in plain if 'R@' in name)
    assert equal['retrieval/t2i_R@1'] > plain['retrieval/t2i_R@1']


@pytest.mark.parametrize('settings', [dict(batch_size=1), dict(batch_size=13)])
def test_batches_do_not_matter(settings: dict) -> None:
    assert evaluate(world(), **settings) == evaluate(world())


def test_order_and_padding_do_not_matter() -> None:
    samples = world()
    padded = [*samples[::-1], *samples[:5], samples[0]]
    assert evaluate(padded) == evaluate(samples)


def test_one_item_a_caption_counts_every_image_once() -> None:
    samples, single = world(), []
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    for sample in samples:
        for text_id in sample.caption_text_ids:
            item = sample.clone()
            item.set_metainfo(dict(text_ids=[text_id]))
            item.text_embeds = vectors[text_id][None]
            single.append(item)
    assert evaluate(single) == evaluate(samples)


def test_collapsed_model_gets_chance_and_perfect_model_gets_everything() -> None:
    chance = evaluate(world(captions=1, model='collapsed'))
    for side in ('i2t', 't2i'):
        for k in (1, 5, 10):
            assert chance[f'retrieval/{side}_R@{k}'] == pytest.approx(100 * k / 13, abs=1e-9)
        assert chance[f'retrieval/{side}_MeanR'] == pytest.approx(7)
    perfect = evaluate(world(model='perfect'))
    assert all(value == 100 for name, value in perfect.items() if 'R@' in name or 'mR' in name)
    assert perfect['retrieval/t2i_MedR'] == 1.0


def test_tie_modes() -> None:
    samples = world(captions=1, model='collapsed')
    assert evaluate(samples, ties='pessimistic')['retrieval/mR'] == 0.0
    assert evaluate(samples, ties='optimistic')['retrieval/mR'] == 100.0


def test_gallery_smaller_than_k_and_a_single_image() -> None:
    metrics = evaluate(world(num_images=4, captions=1))
    assert metrics['retrieval/t2i_R@5'] == metrics['retrieval/i2t_R@10'] == 100.0
    assert evaluate(world(num_images=1))['retrieval/mR'] == 100.0


def test_each_domain_is_searched_in_its_own_gallery() -> None:
    samples = world(num_images=14)
    metrics = evaluate(samples)
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    for domain in ('finland', 'spain'):
        inside = [sample.clone() for sample in samples if sample.domain == domain]
        for sample in inside:  # texts may have been encoded with an image of the other domain
            sample.set_metainfo(dict(text_ids=list(dict.fromkeys(sample.caption_text_ids))))
            sample.text_embeds = torch.stack([vectors[t] for t in sample.text_ids])
        for name, value in naive(inside, False).items():
            assert metrics[f'retrieval/{domain}/{name}'] == pytest.approx(value, abs=1e-6), name
    assert not any('spain' in name for name in evaluate(inside))


def test_topk_sets_names_and_mean() -> None:
    metrics = evaluate(world(), topk=(2, 3), prefix='val')
    recalls = [metrics[f'val/{side}_R@{k}'] for side in ('i2t', 't2i') for k in (2, 3)]
    assert metrics['val/mR'] == pytest.approx(sum(recalls) / 4)
    assert 'val/i2t_R@1' not in metrics


@pytest.mark.parametrize(
    ('topk', 'names'), [(5, ['5']), ([10, 1, 10], ['10', '1']), ((3, 500), ['3', '500'])]
)
def test_topk_may_be_a_number_repeated_or_beyond_the_gallery(topk, names: list[str]) -> None:
    metrics = evaluate(world(), topk=topk)
    start = 'retrieval/i2t_R@'
    assert [name[len(start) :] for name in metrics if name.startswith(start)] == names
    expected = evaluate(world(), topk=tuple(map(int, names)))
    assert metrics == expected and metrics.get('retrieval/t2i_R@500', 100) == 100


def test_ids_may_be_numbers_and_names() -> None:
    samples = world()
    expected = evaluate(samples)
    for position in (2, 5, 9):
        samples[position].set_metainfo(dict(img_id=position))
    assert evaluate(samples) == pytest.approx(expected)


def test_images_without_captions_are_searched_and_are_no_queries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = []
    monkeypatch.setattr(
        'urbancross_mm.evaluation.metrics.recall_at_k.print_log',
        lambda text, logger, level=logging.INFO: said.append(text),
    )
    samples = world()
    alone = evaluate(samples)
    more = [sample.clone() for sample in world(num_images=40, num_texts=3, seed=7)]
    for position, sample in enumerate(more):
        sample.set_metainfo(
            dict(
                img_id=f'more/{position}',
                domain='elsewhere',
                caption_text_ids=[],
                text_ids=[position],
            )
        )  # a text that no image names
        sample.text_embeds = normalize(torch.randn(1, WIDTH))
    metrics = evaluate([*samples, *more])
    assert (metrics['retrieval/num_images'], metrics['retrieval/num_texts']) == (53, 65)
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    gallery = torch.stack([s.image_embeds for s in [*samples, *more]])
    ranks = [
        int((gallery @ vectors[t] > s.image_embeds @ vectors[t] + 1e-6).sum()) + 1
        for s in samples
        for t in s.caption_text_ids
    ]
    for k in (1, 5, 10):
        assert metrics[f'retrieval/t2i_R@{k}'] == pytest.approx(
            100 * sum(rank <= k for rank in ranks) / 65
        )
        assert metrics[f'retrieval/i2t_R@{k}'] == alone[f'retrieval/i2t_R@{k}']
    assert '53 images (40 of them distractors without captions), 65 captions' in said[-1]
    assert not any('elsewhere' in name for name in metrics)


def test_mean_reciprocal_rank_and_average_precision() -> None:
    from sklearn.metrics import label_ranking_average_precision_score as lrap

    samples = world(num_texts=65)
    for position, sample in enumerate(samples):  # every caption another one, so that nothing ties
        sample.set_metainfo(
            dict(
                text_ids=[*range(5 * position, 5 * position + 5)],
                caption_text_ids=[*range(5 * position, 5 * position + 5)],
            )
        )
        sample.text_embeds = normalize(torch.randn(5, WIDTH))
    metrics = evaluate(samples, extra=('MRR', 'mAP'))
    scores = (
        torch.stack([s.image_embeds for s in samples]).double()
        @ torch.cat([s.text_embeds for s in samples]).double().t()
    ).numpy()
    right = torch.eye(13).repeat_interleave(5, 1).numpy()
    assert metrics['retrieval/i2t_mAP'] == pytest.approx(100 * lrap(right, scores))
    assert metrics['retrieval/t2i_mAP'] == pytest.approx(100 * lrap(right.T, scores.T))
    assert metrics['retrieval/t2i_MRR'] == pytest.approx(metrics['retrieval/t2i_mAP'])
    first = [
        min((scores[i] > scores[i, c]).sum() + 1 for c in range(5 * i, 5 * i + 5))
        for i in range(13)
    ]
    assert metrics['retrieval/i2t_MRR'] == pytest.approx(100 * sum(1 / r for r in first) / 13)
    plain = evaluate(samples)
    assert all(
        plain[name] == value
        for name, value in metrics.items()
        if 'MRR' not in name and 'mAP' not in name
    )


def test_near_collapse_is_ranked_by_the_last_digits() -> None:
    samples = world(model='perfect', num_images=13)
    common = normalize(torch.ones(1, 13))
    for sample in samples:
        sample.image_embeds = normalize(common + 1e-3 * sample.image_embeds)[0]
        sample.text_embeds = normalize(common + 1e-3 * sample.text_embeds)
    assert evaluate(samples)['retrieval/mR'] == evaluate(world(model='perfect'))['retrieval/mR']


def test_protocol_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(
        'urbancross_mm.evaluation.metrics.recall_at_k.print_log',
        lambda text, logger, level=logging.INFO: said.append(text),
    )
    evaluate(world(), equal_captions=True)
    assert len(said) == 1
    for part in (
        '13 images',
        '65 captions',
        'distinct',
        'ties expected',
        'same caption',
        'finland, spain',
        't2i_R@10 76.9',  # of 13 images, by chance
    ):
        assert part in said[0]
    evaluate(world(num_images=49), topk=(1, 60))
    evaluate(world(num_images=50))
    assert 't2i_R@60 100.0' in said[1] and 'chance' not in said[2]


def test_collected_rows_do_not_drag_their_batch_along() -> None:
    batch = torch.randn(100, WIDTH, dtype=torch.bfloat16)
    metric = METRICS.build(dict(type='RecallAtK'))
    metric.process(
        None,
        [
            dict(
                img_id='a',
                caption_text_ids=[1],
                text_ids=[1],
                image_embeds=batch[0],
                text_embeds=batch[1:2],
            )
        ],
    )
    for name in ('image_embeds', 'text_embeds'):
        kept = metric.results[0][name]
        assert kept.dtype == torch.float32 and kept.untyped_storage().nbytes() == 4 * WIDTH


def without_text(samples: list[BaseDataElement]) -> None:
    owner = next(s for s in samples if len(s.text_ids) > 1)
    owner.set_metainfo(dict(text_ids=owner.text_ids[1:]))
    owner.text_embeds = owner.text_embeds[1:]


def spoil_nan(samples: list[BaseDataElement]) -> None:
    samples[2].image_embeds = samples[2].image_embeds * float('nan')


def spoil_text(samples: list[BaseDataElement]) -> None:
    samples[0].text_embeds[0, 3] = float('inf')


def other_captions(sample: RetrievalDataSample) -> RetrievalDataSample:
    again = sample.clone()
    again.set_metainfo(dict(caption_text_ids=again.caption_text_ids[1:]))
    return again


def other_image(sample: RetrievalDataSample) -> RetrievalDataSample:
    """As two annotation files with equal ids give it; both equal otherwise."""
    again = sample.clone()
    sample.set_metainfo(dict(img_path='a.png'))
    again.set_metainfo(dict(img_path='b.png'))
    return again


def opposite(sample: RetrievalDataSample) -> RetrievalDataSample:
    again = sample.clone()
    again.image_embeds = -again.image_embeds
    return again


@pytest.mark.parametrize(
    ('spoil', 'error', 'message'),
    [
        (without_text, ValueError, "image 'set/000' .* was never encoded"),
        (
            spoil_nan,
            ValueError,
            r'1 of 13 image embeddings hold NaN or infinity, first rows \[2\]: set/002',
        ),
        (
            spoil_text,
            ValueError,
            "1 of .* text embeddings hold NaN .*: text id [0-9]+ of 'set/000'",
        ),
        (lambda s: s.clear(), ValueError, 'collected no sample'),
        (lambda s: s[1].pop('image_embeds'), KeyError, "'set/001' has no 'image_embeds'"),
        (lambda s: s[1].set_metainfo(dict(text_ids=[1] * 9)), ValueError, 'has 9 text ids but'),
        (
            lambda s: [x.set_metainfo(dict(caption_text_ids=[])) for x in s],
            ValueError,
            'none of 13 images has a caption',
        ),
        (lambda s: s.append(other_captions(s[3])), ValueError, "'set/003' comes twice, with other"),
        (
            lambda s: s.append(other_image(s[3])),
            ValueError,
            "two images have the img_id 'set/003', a.png and b.png: ids must be unique",
        ),
        (
            lambda s: s.append(opposite(s[3])),
            ValueError,
            "two images have the img_id 'set/003': ids",
        ),
    ],
)
def test_bad_samples_are_named(spoil, error, message: str) -> None:
    samples = world()
    spoil(samples)
    with pytest.raises(error, match=message):
        evaluate(samples)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(topk=5.0), 'topk'),
        (dict(topk=None), 'topk'),
        (dict(extra=5), 'extra'),
        (dict(topk=('5',)), 'topk'),
        (dict(topk=(1, 2.5)), 'topk'),
        (dict(topk=0), 'topk'),
        (dict(extra='NDCG'), "of .'MRR', 'mAP'., got 'NDCG'"),
        (dict(topk=()), 'topk'),
        (dict(topk=(0, 5)), 'topk'),
        (dict(ties='random'), "got 'random'"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecallAtK(**settings)


def on_a_rank(rank: int, uneven: bool) -> dict:
    """Share 13 images; the padding repeats images, or the ranks hold 4 and 9."""
    samples = world()
    order = [*range(13), 0] if not uneven else []
    own = (
        [samples[i] for i in order[rank::2]]
        if order
        else (samples[:4] if rank == 0 else samples[4:])
    )
    metric = RecallAtK()
    for start in range(0, len(own), 4):
        metric.process(None, [s.to_dict() for s in own[start : start + 4]])
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('uneven', [False, True])
def test_two_ranks_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uneven: bool) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'meet').mkdir()
    ranks = run_on_ranks(on_a_rank, tmp_path / 'meet', uneven)
    assert ranks == [evaluate(world())] * 2


def test_images_that_are_not_for_retrieval_are_left_out() -> None:
    """Images that came for their class map alone are no distractors, and need no embeddings."""
    masked = [
        RetrievalDataSample(
            metainfo=dict(
                img_id=f'masks/{k}', text_ids=[], caption_text_ids=[], for_retrieval=False
            )
        )
        for k in range(3)
    ]
    masked[0].image_embeds, masked[0].text_embeds = torch.ones(WIDTH), torch.empty(0, WIDTH)
    samples = world()
    assert evaluate([*masked, *samples]) == evaluate(samples)
    with pytest.raises(ValueError, match='collected no sample'):
        evaluate(masked)
