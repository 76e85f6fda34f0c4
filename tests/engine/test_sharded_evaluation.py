"""Every image is scored once, whatever number of ranks shares the dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from tests.datasets.tiny import item, write
from tests.ranks import run_on_ranks
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.evaluation import RecallAtK

PIPELINE = [dict(type='LoadImage'), dict(type='PackRetrievalInputs')]


def vector(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed % 2**31)
    return torch.nn.functional.normalize(torch.randn(6, generator=generator), dim=0)


def evaluate(rank: int, root: str, round_up: bool = True) -> tuple[int, dict[str, float]]:
    """Embed the part of a rank, as a test loop does; embeddings follow from the item alone."""
    dataset = ImageTextDataset(
        'annotations/tiny.json', root, captions='all', pipeline=PIPELINE, test_mode=True
    )
    sampler = DefaultSampler(dataset, shuffle=False, round_up=round_up)
    metric, seen = RecallAtK(), 0
    for batch in DataLoader(dataset, 2, sampler=sampler, collate_fn=pseudo_collate):
        for sample in batch['data_samples']:
            sample.image_embeds = vector(sum(map(ord, sample.img_id)))
            sample.text_embeds = torch.stack([vector(i) for i in sample.text_ids] or [vector(0)])
            sample.text_embeds = sample.text_embeds[: len(sample.text_ids)]
            seen += 1
        metric.process(None, [sample.to_dict() for sample in batch['data_samples']])
    return seen, metric.evaluate(len(dataset))


# Numbers that do not divide 7 images, nor batches of 2, and one above the number of images.
@pytest.mark.parametrize('ranks', [3, 4, 9])
@pytest.mark.parametrize('round_up', [True, False])
def test_any_number_of_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int, round_up: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    items = [item(name, [f'a {name}', 'the same words', f'one {name}']) for name in 'abcdefg']
    root = write(tmp_path / 'tiny', items)['data_root']
    alone = evaluate(0, root)
    assert alone[0] == alone[1]['retrieval/num_images'] == 7
    assert alone[1]['retrieval/num_texts'] == 21
    (tmp_path / 'meet').mkdir()
    shared = run_on_ranks(evaluate, tmp_path / 'meet', root, round_up, world_size=ranks)
    assert sum(seen for seen, _ in shared) == (-(-7 // ranks) * ranks if round_up else 7)
    for _, metrics in shared:
        assert metrics == pytest.approx(alone[1])
