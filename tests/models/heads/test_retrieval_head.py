"""Ids decide what is positive; two ranks compute what one computes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.models.helpers import sample, total
from tests.ranks import run_on_ranks
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import RetrievalHead
from urbancross_mm.structures.batch_ids import batch_ids

RANKING = dict(type='PairwiseRankingLoss')


def hinge_loop(images: torch.Tensor, texts: torch.Tensor, positive: Any) -> float:
    """The published loss with a rule for positives, written out."""
    scores, total_ = images @ texts.T, 0.0
    for i in range(len(images)):
        for j in range(len(texts)):
            if not positive(i, j):
                total_ += max(0.0, 0.2 + float(scores[i, j] - scores[i, i]))
                total_ += max(0.0, 0.2 + float(scores[i, j] - scores[j, j]))
    return total_


def random_batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return normalize(torch.randn(size, 6)), normalize(torch.randn(size, 6))


def test_captions_of_one_image_are_not_negatives() -> None:
    """Five captions of image 0 and one of image 1, as single-caption items."""
    keys = ['set/0'] * 5 + ['set/1']
    samples = [sample(key, [f'caption {k}']) for k, key in enumerate(keys)]
    images, texts = random_batch(6)
    images[1:5] = images[0]
    losses = RetrievalHead(RANKING).loss(images, texts, samples)
    expected = hinge_loop(images, texts, lambda i, j: keys[i] == keys[j])
    assert losses['loss_image_text'].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('equal_captions', [True, False])
def test_equal_captions_of_different_images(equal_captions: bool) -> None:
    """Text 2 is not image 0's text in this batch, but it is among its captions."""
    samples = [sample('set/0', ['a'], ['a', 'c']), sample('set/1', ['b']), sample('set/2', ['c'])]
    images, texts = random_batch(3)
    head = RetrievalHead(RANKING, equal_captions=equal_captions)
    loss = head.loss(images, texts, samples)['loss_image_text']
    expected = hinge_loop(
        images, texts, lambda i, j: i == j or (equal_captions and (i, j) == (0, 2))
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_all_captions_at_once_equal_single_captions() -> None:
    """An image with two texts stands once for each; one without a text is left out."""
    images, texts = random_batch(3)
    together = [sample('set/0', ['a', 'b']), sample('set/1', []), sample('set/2', ['c'])]
    apart = [
        sample('set/0', ['a'], ['a', 'b']),
        sample('set/0', ['b'], ['a', 'b']),
        sample('set/2', ['c']),
    ]
    head = RetrievalHead(RANKING)
    got = head.loss(images, texts, together, segment_embeds=images.flip(0))
    rows = [0, 0, 2]
    expected = head.loss(images[rows], texts, apart, segment_embeds=images.flip(0)[rows])
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value)


def test_losses_and_diagnostics() -> None:
    images, texts = random_batch(4)
    samples = [sample(f'set/{i}', [f'{i}']) for i in range(4)]
    head = RetrievalHead(dict(type='InfoNCELoss'), segment_loss=RANKING, segment_weight=0.5)
    out = head.loss(images, texts, samples, segment_embeds=images)
    assert set(out) == {'loss_image_text', 'loss_segment_text', 'logit_scale'}
    assert [key for key in out if 'loss' in key] == ['loss_image_text', 'loss_segment_text']
    plain = RetrievalHead(RANKING).loss(images, texts, samples)['loss_image_text']
    torch.testing.assert_close(out['loss_segment_text'], plain * 0.5)


def test_rows_that_do_not_match() -> None:
    with pytest.raises(ValueError, match='name 2 texts.* 1 image and 1 text'):
        RetrievalHead(RANKING).loss(
            torch.ones(1, 2), torch.ones(1, 2), [sample('set/0', ['a', 'b'])]
        )


class TwoTowers(nn.Module):
    """Linear encoders before the head, so that there are gradients to compare."""

    def __init__(self, loss: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.image, self.text = nn.Linear(5, 4), nn.Linear(5, 4)
        self.head = RetrievalHead(dict(type=loss))

    def forward(self, image: torch.Tensor, text: torch.Tensor, samples: list) -> torch.Tensor:
        embeds = normalize(self.image(image))
        out = self.head.loss(embeds, normalize(self.text(text)), samples, segment_embeds=embeds)
        return total(out)


def whole_batch() -> tuple[torch.Tensor, torch.Tensor, list]:
    """Eight pairs; images and texts recur across the halves, which differ in captions."""
    generator = torch.Generator().manual_seed(2)
    texts = ['a', 'b', 'c', 'd', 'a', 'e', 'f', 'g']
    keys = [0, 1, 2, 3, 4, 5, 1, 6]
    samples = [
        sample(f'set/{key}', [text], [text, 'g'] if i > 5 else None)
        for i, (key, text) in enumerate(zip(keys, texts))
    ]
    return (torch.randn(8, 5, generator=generator), torch.randn(8, 5, generator=generator), samples)


def results(model: nn.Module, inputs: tuple) -> dict[str, torch.Tensor]:
    loss = model(*inputs)
    loss.backward()
    grads = {name.removeprefix('module.'): p.grad for name, p in model.named_parameters()}
    return dict(grads, loss=loss.detach())


def on_a_rank(rank: int) -> dict[str, dict[str, torch.Tensor]]:
    half = tuple(part[rank * 4 : rank * 4 + 4] for part in whole_batch())
    return {
        loss: results(DistributedDataParallel(TwoTowers(loss)), half)
        for loss in ('InfoNCELoss', 'PairwiseRankingLoss', 'SigLIPLoss')
    }


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    for of_rank in run_on_ranks(on_a_rank, tmp_path):
        for loss, got in of_rank.items():
            expected = results(TwoTowers(loss), whole_batch())
            for name, value in expected.items():
                torch.testing.assert_close(got[name], value, msg=f'{loss}: {name}')


def test_one_id_of_two_images_is_refused() -> None:
    """Each would be a positive of the other's captions."""
    samples = [sample(f'set/{i}', [f'text {position}']) for position, i in enumerate((0, 1, 0))]
    for position, item in enumerate(samples):
        item.set_metainfo(dict(img_path=f'data/{position}.png'))
    with pytest.raises(ValueError, match="'set/0', data/0.png and data/2.png"):
        batch_ids(samples, torch.device('cpu'))
    samples[2].set_metainfo(dict(img_path='data/../data/0.png'))  # the same image, as in padding
    assert len(batch_ids(samples, torch.device('cpu')).owners) == 3
