"""Whether modalities mix, and whether the space collapses, at any sharding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.evaluator import Evaluator

from tests.ranks import run_on_ranks
from urbancross_mm.evaluation import ModalGapMetric
from urbancross_mm.evaluation.metrics.modal_gap_metric import spread
from urbancross_mm.functional.label_free import proxy_a_distance
from urbancross_mm.structures import RetrievalDataSample

SIZES = dict(image=40, text=60, audio=24)
PAIRS = ('image_text', 'image_audio', 'text_audio')


def alone(
    name: str, number: int, embeds: torch.Tensor, told: bool | None = None
) -> RetrievalDataSample:
    """A sample of one modality."""
    image = name == 'image'
    sample = RetrievalDataSample(
        metainfo=dict(img_id=f'{number:03d}') if image else {f'{name}_ids': [number]}
    )
    sample.set_data({f'{name}_embeds': embeds if image else embeds[None]})
    if told is not None:
        value = torch.tensor(told)
        sample.set_data({f'{name}_told': value if image else value[None]})
    return sample


def rows(gap: float = 0.0, width: int = 16) -> dict[str, torch.Tensor]:
    """Directions of each modality; ``gap`` apart."""
    torch.manual_seed(0)
    found = {name: torch.randn(size, width) for name, size in SIZES.items()}
    for number, embeds in enumerate(found.values()):
        embeds[:, number] += gap
    return {name: embeds / embeds.norm(dim=1, keepdim=True) for name, embeds in found.items()}


def samples_of(embeds: dict[str, torch.Tensor], share: int | None = 3) -> list[RetrievalDataSample]:
    """Single items, of which one in ``share`` was told."""
    return [
        alone(name, number, row, None if share is None else number % share == 0)
        for name, part in embeds.items()
        for number, row in enumerate(part)
    ]


def evaluate(samples: list[RetrievalDataSample], batch_size: int = 5, **options) -> dict:
    evaluator = Evaluator([dict(type='urbancross_mm.ModalGapMetric', **options)])
    for start in range(0, len(samples), batch_size):
        evaluator.process(data_samples=samples[start : start + batch_size], data_batch=None)
    metrics = evaluator.evaluate(len(samples))
    return {name.removeprefix('modal_gap/'): value for name, value in metrics.items()}


def test_scores_by_hand() -> None:
    embeds = rows()
    metrics = evaluate(samples_of(embeds))
    # 14 of 40, 20 of 60 and 8 of 24, each modality with the same weight.
    assert metrics['discriminator_acc'] == pytest.approx((14 / 40 + 20 / 60 + 8 / 24) / 3)
    for name, part in embeds.items():
        columns = part.double().T.tolist()
        deviations = [
            (sum((x - sum(column) / len(column)) ** 2 for x in column) / len(column)) ** 0.5
            for column in columns
        ]
        by_hand = sum(deviations) / len(deviations) * 16**0.5
        assert metrics[f'spread_{name}'] == pytest.approx(by_hand, abs=1e-6)
        assert by_hand == pytest.approx(1, abs=0.1)
    for pair in PAIRS:
        first, second = (embeds[name] for name in pair.split('_'))
        expected = proxy_a_distance(first, second)
        assert metrics[f'a_distance_{pair}'] == pytest.approx(expected, abs=1e-6)
    assert set(metrics) == {
        'discriminator_acc',
        *(f'spread_{name}' for name in SIZES),
        *(f'a_distance_{pair}' for pair in PAIRS),
    }


def test_a_gap_is_seen_and_its_absence() -> None:
    apart, mixed = evaluate(samples_of(rows(gap=20.0))), evaluate(samples_of(rows()))
    assert all(apart[f'a_distance_{pair}'] > 1.9 for pair in PAIRS)
    assert all(mixed[f'a_distance_{pair}'] < 1 for pair in PAIRS)


def test_a_collapsed_modality_has_no_spread() -> None:
    embeds = rows()
    embeds['text'] = embeds['text'][:1].repeat(60, 1)
    metrics = evaluate(samples_of(embeds))
    assert metrics['spread_text'] == pytest.approx(0, abs=1e-7) and metrics['spread_image'] > 0.8
    everything = dict.fromkeys(SIZES, embeds['text'][:24])
    metrics = evaluate(samples_of(everything))
    assert all(metrics[f'spread_{name}'] < 1e-7 for name in SIZES)
    assert all(metrics[f'a_distance_{pair}'] == 0 for pair in PAIRS)  # and nothing can be told


def test_the_spread_does_not_depend_on_width_or_length() -> None:
    torch.manual_seed(0)
    for width in (8, 64, 512):
        embeds = torch.randn(500, width)
        assert spread(embeds) == pytest.approx(1, abs=0.05)
        assert spread(7 * embeds) == pytest.approx(spread(embeds))
    line = torch.zeros(500, 64)
    line[:, 0] = torch.randn(500).sign()
    assert spread(line) == pytest.approx(1 / 8, abs=0.01)  # one of 64 directions


def test_captioned_samples_and_models_without_a_discriminator() -> None:
    embeds = rows()
    pairs = []
    for number in range(24):
        sample = alone('image', number, embeds['image'][number])
        own = slice(2 * number, 2 * number + 2)
        sample.set_metainfo(dict(text_ids=[2 * number, 2 * number + 1], audio_ids=[]))
        sample.set_data(dict(text_embeds=embeds['text'][own], audio_embeds=torch.zeros(0, 16)))
        pairs.append(sample)
    kept = dict(image=embeds['image'][:24], text=embeds['text'][:48])
    expected = {'spread_image', 'spread_text', 'a_distance_image_text'}
    metrics = evaluate(pairs)
    assert set(metrics) == expected
    assert metrics == pytest.approx(evaluate(samples_of(kept, share=None)))
    assert set(evaluate(pairs, modalities=['text'])) == {'spread_text'}


def test_repeated_and_reordered_items_change_nothing() -> None:
    samples = samples_of(rows())
    expected = evaluate(samples)
    assert evaluate([*samples[::-1], *samples[:30]], batch_size=7) == expected


def metrics_of_a_rank(rank: int) -> dict[str, float]:
    return evaluate(samples_of(rows())[rank::2], batch_size=4)


def test_two_ranks_are_one(tmp_path: Path) -> None:
    expected = evaluate(samples_of(rows()))
    for metrics in run_on_ranks(metrics_of_a_rank, tmp_path):
        assert metrics == pytest.approx(expected)


def test_what_cannot_be_scored() -> None:
    embeds = rows()
    with pytest.raises(ValueError, match='one item of audio'):
        evaluate(samples_of(dict(embeds, audio=embeds['audio'][:1])))
    embeds['text'][3] = torch.nan
    with pytest.raises(ValueError, match='text hold NaN'):
        evaluate(samples_of(embeds))
    with pytest.raises(ValueError, match='no sample has an embedding'):
        evaluate([RetrievalDataSample()])
    assert ModalGapMetric().modalities == ('image', 'text', 'audio')
