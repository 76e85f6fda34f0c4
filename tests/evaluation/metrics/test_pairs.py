"""Recall of further pairs of modalities, against a naive protocol."""

import pytest
import torch

from tests.evaluation.metrics.test_recall_at_k import WIDTH, evaluate, world
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.structures import RetrievalDataSample

PAIRS = ('image-audio', 'text-audio')


def spoken(shared: bool = False, **options) -> list[RetrievalDataSample]:
    """Every caption has a recording; or all captions of an image share one."""
    generator, samples = torch.Generator().manual_seed(3), world(**options)
    for i, sample in enumerate(samples):
        count = 1 if shared else len(sample.caption_text_ids)
        ids = [1000 * (i + 1) + k for k in range(count)]
        sample.set_metainfo(dict(audio_ids=ids, caption_audio_ids=ids))
        sample.audio_embeds = normalize(torch.randn(count, WIDTH, generator=generator))
    return samples


def recall(scores: torch.Tensor, right: torch.Tensor, k: int) -> float:
    """Of rows that have something relevant; no ties."""
    hits = right.gather(1, scores.topk(k, dim=1).indices).any(dim=1)
    return 100 * hits[right.any(dim=1)].float().mean().item()


@pytest.mark.parametrize('shared', [False, True])
def test_against_a_naive_protocol(shared: bool) -> None:
    samples = spoken(shared)
    metrics = evaluate(samples, pairs=PAIRS)
    images = torch.stack([s.image_embeds for s in samples])
    audio = torch.cat([s.audio_embeds for s in samples])
    owner = torch.tensor([i for i, s in enumerate(samples) for _ in s.audio_ids])
    vectors = {t: e for s in samples for t, e in zip(s.text_ids, s.text_embeds)}
    texts, number = torch.stack(list(vectors.values())), {t: n for n, t in enumerate(vectors)}
    of_image = owner[None] == torch.arange(len(samples))[:, None]
    of_text = torch.zeros(len(texts), len(audio), dtype=torch.bool)
    rows = {a: n for n, a in enumerate(a for s in samples for a in s.audio_ids)}
    for sample in samples:
        said = sample.caption_audio_ids * (len(sample.caption_text_ids) if shared else 1)
        for text, recording in zip(sample.caption_text_ids, said):
            of_text[number[text], rows[recording]] = True
    for k in (1, 5, 10):
        for names, left, right in (('ia', images, of_image), ('ta', texts, of_text)):
            scores = left @ audio.t()
            first, second = names
            expected = recall(scores, right, k), recall(scores.t(), right.t(), k)
            found = metrics[f'retrieval/{first}2a_R@{k}'], metrics[f'retrieval/a2{first}_R@{k}']
            assert found == pytest.approx(expected, abs=1e-3)
    means = [metrics[f'retrieval/mR{pair}'] for pair in ('', '_image-audio')]
    assert metrics['retrieval/mR_pairs'] == pytest.approx(sum(means) / 2)
    assert metrics['retrieval/num_audios'] == len(audio)


def test_the_pair_of_image_and_text_is_what_it_is_alone() -> None:
    alone, with_pairs = evaluate(world()), evaluate(spoken(), pairs=PAIRS)
    assert alone == {key: with_pairs[key] for key in alone}


def test_padding_changes_nothing() -> None:
    samples = spoken()
    assert evaluate([*samples, *samples[:5]], pairs=PAIRS) == evaluate(samples, pairs=PAIRS)


def test_captions_without_a_recording_keep_the_others_with_their_text() -> None:
    samples = spoken()
    gone = [(2, 0), (2, 3), *((4, k) for k in range(5))]
    silent = spoken()
    for row, k in gone:
        ids = list(silent[row].caption_audio_ids)
        silent[row].set_metainfo(dict(caption_audio_ids=[*ids[:k], -1, *ids[k + 1 :]]))
    for sample in silent:
        kept = [k for k, item_id in enumerate(sample.caption_audio_ids) if item_id != -1]
        sample.audio_embeds = sample.audio_embeds[kept]
        sample.set_metainfo(dict(audio_ids=[sample.audio_ids[k] for k in kept]))
    metrics = evaluate(silent, pairs=PAIRS)
    assert metrics['retrieval/num_audios'] == 13 * 5 - 7
    # Every recording is its text, so none of those that are left may be paired with a neighbor.
    for one in (samples, silent):
        vectors = {t: e for s in one for t, e in zip(s.text_ids, s.text_embeds)}
        for sample in one:
            said = zip(sample.caption_text_ids, sample.caption_audio_ids)
            rows = [vectors[text] for text, item_id in said if item_id != -1]
            sample.audio_embeds = torch.stack(rows) if rows else sample.audio_embeds
        assert evaluate(one, pairs=['text-audio'])['retrieval/a2t_R@1'] == 100
    samples[4].set_metainfo(dict(audio_ids=[], caption_audio_ids=[]))
    samples[4].audio_embeds = torch.zeros(0, WIDTH)
    assert evaluate(samples, pairs=['text-audio'])['retrieval/a2t_R@1'] == 100


def test_a_collapsed_model_gets_chance() -> None:
    samples = spoken(model='collapsed')
    for sample in samples:
        sample.audio_embeds[:] = samples[0].image_embeds
    metrics = evaluate(samples, pairs=['image-audio'])
    assert metrics['retrieval/a2i_R@5'] == pytest.approx(100 * 5 / 13)


def test_what_is_missing_or_misspelt() -> None:
    with pytest.raises(KeyError, match="'set/000'.*'audio_embeds'"):
        evaluate(world(), pairs=['image-audio'])
    with pytest.raises(ValueError, match="'audio-image'"):
        evaluate(world(), pairs=['audio-image'])
    samples = spoken()
    samples[2].set_metainfo(dict(caption_audio_ids=samples[2].caption_audio_ids[:2]))
    with pytest.raises(ValueError, match="'set/002' has 5 captions and 2 recordings.* -1"):
        evaluate(samples, pairs=['text-audio'])
