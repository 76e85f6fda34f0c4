"""Lists, ranks and counts against a full matrix, by the relevance of the metric."""

import pytest
import torch

from tests.evaluation.metrics.test_recall_at_k import WIDTH, evaluate, world
from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.inference import retrieval_errors
from urbancross_mm.inference.retrieval_errors import RetrievalErrors
from urbancross_mm.structures import RetrievalDataSample


def captioned(num_images: int = 13, **settings) -> list[RetrievalDataSample]:
    """Samples of ``world`` with words and paths; a caption says which text it is."""
    samples = world(num_images=num_images, **settings)
    for sample in samples:
        sample.set_metainfo(
            dict(
                captions=[f'says {text_id}' for text_id in sample.caption_text_ids],
                img_path=f'images/{sample.img_id}.png',
            )
        )
    return samples


def untied(num_images: int = 13) -> list[RetrievalDataSample]:
    """Every caption another one, so that nothing ties."""
    samples = captioned(num_images)
    for position, sample in enumerate(samples):
        ids = list(range(5 * position, 5 * position + 5))
        sample.set_metainfo(
            dict(text_ids=ids, caption_text_ids=ids, captions=[f'text {k}' for k in ids])
        )
        sample.text_embeds = normalize(torch.randn(5, WIDTH))
    return samples


def matrix(samples: list[RetrievalDataSample]) -> torch.Tensor:
    texts = torch.cat([sample.text_embeds for sample in samples]).double()
    return torch.stack([sample.image_embeds for sample in samples]).double() @ texts.t()


@pytest.mark.parametrize('chunk', [1024, 4])
def test_against_the_full_matrix(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_errors, '_QUERIES', chunk)
    samples = untied()
    scores = matrix(samples)
    errors = RetrievalErrors(samples, RecallAtK(), topk=5)
    order = scores.argsort(dim=1, descending=True)
    right = order // 5 == torch.arange(13)[:, None]
    assert torch.equal(errors.i2t.found, order[:, :5])
    assert torch.equal(errors.i2t.right, right[:, :5])
    assert errors.i2t.rank.tolist() == [float(row.nonzero()[0] + 1) for row in right]
    own = scores[torch.arange(65) // 5, torch.arange(65)]
    assert errors.t2i.rank.tolist() == ((scores > own).sum(dim=0) + 1).tolist()
    assert torch.equal(errors.t2i.found, scores.t().argsort(dim=1, descending=True)[:, :5])
    summary = errors.summary()
    for count in range(6):
        expected = int((right[:, :5].sum(dim=1) == count).sum())
        assert summary['i2t']['right'][str(count)] == expected
    assert summary['i2t']['at_least']['2'] == sum(
        summary['i2t']['right'][str(count)] for count in (2, 3, 4, 5)
    )
    ranks = errors.t2i.rank
    assert summary['t2i']['ranks']['2-5'] == int(((ranks > 1) & (ranks <= 5)).sum())
    assert sum(summary['t2i']['ranks'].values()) == 65


@pytest.mark.parametrize('equal_captions', [False, True])
def test_it_agrees_with_the_metric(equal_captions: bool) -> None:
    samples = captioned()
    metrics = evaluate(samples, equal_captions=equal_captions)
    errors = RetrievalErrors(samples, RecallAtK(equal_captions=equal_captions))
    summary = errors.summary()
    for side in ('i2t', 't2i'):
        for name in ('MedR', 'MeanR'):
            assert summary[side][name] == pytest.approx(metrics[f'retrieval/{side}_{name}'])
    assert (summary['images'], summary['captions']) == (13, 65)


def test_captions_of_several_images_are_right_for_all_of_them() -> None:
    samples = captioned(num_texts=3)
    strict, kind = (
        RetrievalErrors(samples, RecallAtK(equal_captions=flag)).t2i.right.sum()
        for flag in (False, True)
    )
    assert kind > strict


def test_records_say_what_was_found() -> None:
    samples = untied()
    errors = RetrievalErrors(samples, RecallAtK(), topk=3)
    worst = errors.i2t.worst(4)
    assert errors.i2t.rank[worst].tolist() == sorted(errors.i2t.rank.tolist(), reverse=True)[:4]
    record = errors.image_record(int(worst[0]))
    sample = samples[int(worst[0])]
    assert (record['img_id'], record['img_path']) == (sample.img_id, sample.img_path)
    assert record['captions'] == sample.captions and len(record['found']) == 3
    for item, row in zip(record['found'], errors.i2t.found[worst[0]].tolist()):
        assert item['caption'] == f'text {row}' and item['img_id'] == samples[row // 5].img_id
        assert item['right'] == (item['img_id'] == sample.img_id)
    record = errors.caption_record(7)
    assert (record['caption'], record['img_id']) == ('text 7', samples[1].img_id)
    best = samples[int(matrix(samples)[:, 7].argmax())]
    assert record['found'][0]['img_path'] == best.img_path
    assert record['found'][0]['right'] == (best is samples[1])


def test_distractors_are_found_and_ask_nothing() -> None:
    samples = untied()
    alone = samples[4]
    alone.set_metainfo(dict(text_ids=[], caption_text_ids=[], captions=[]))
    alone.text_embeds = torch.empty(0, WIDTH)
    errors = RetrievalErrors(samples, RecallAtK(), topk=13)
    assert 4 not in errors.i2t.query.tolist() and len(errors.i2t.rank) == 12
    assert (errors.t2i.found == 4).any(dim=1).all()
    assert errors.image_record(4)['img_id'] == samples[5].img_id


def test_lists_need_a_length() -> None:
    with pytest.raises(ValueError, match='got 0'):
        RetrievalErrors(captioned(), RecallAtK(), topk=0)
