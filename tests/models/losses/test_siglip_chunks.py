"""Block by block, and over ranks without gathering: the loss and gradient of the whole matrix."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.models.helpers import sample, total
from tests.ranks import run_on_ranks
from urbancross_mm.functional import contrastive
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import RetrievalHead, SigLIPLoss
from urbancross_mm.models.losses import siglip_chunks

SIZES = [5, 3]  # of the two ranks


def gradients(loss: nn.Module, arguments: list[Tensor], *others: Any) -> list[Tensor]:
    leaves = [item.detach().clone().requires_grad_() for item in arguments]
    value = loss(*leaves, *others)
    (3 * value).backward()
    return [value.detach(), *(item.grad for item in (*leaves, *loss.parameters()))]


@pytest.mark.parametrize('chunk', [1, 2, 3, 100])
@pytest.mark.parametrize('given', [True, False])
def test_chunks_equal_the_matrix(chunk: int, given: bool) -> None:
    torch.manual_seed(0)
    embeds = [normalize(torch.randn(7, 6)) for _ in range(2)]
    positives = (torch.rand(7, 7) > 0.7,) if given else ()
    whole = gradients(SigLIPLoss(loss_weight=0.5), embeds, *positives)
    chunks = gradients(SigLIPLoss(loss_weight=0.5, chunk_size=chunk), embeds, *positives)
    for got, expected in zip(chunks, whole):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_no_block_is_larger_than_a_chunk_or_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, alive = [], []
    plain = contrastive.siglip_sum

    def watched(*args: Any) -> Tensor:
        positives = args[-1]
        assert not any(reference() is not None for reference in alive)
        shapes.append(tuple(positives.shape))
        alive.append(weakref.ref(positives))
        return plain(*args)

    monkeypatch.setattr(siglip_chunks.contrastive, 'siglip_sum', watched)
    embeds = [normalize(torch.randn(7, 6)).requires_grad_() for _ in range(2)]
    SigLIPLoss(chunk_size=3)(*embeds).backward()
    assert shapes == [(7, 3), (7, 3), (7, 1)]


class Model(nn.Module):
    """Two linear encoders and a head."""

    def __init__(self, chunk: int | None, segments: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = nn.Linear(4, 6), nn.Linear(4, 6)
        self.head = RetrievalHead(dict(type='SigLIPLoss', chunk_size=chunk), segment_weight=0.3)
        self.segments = segments

    def forward(self, inputs: tuple[Tensor, Tensor], samples: list) -> dict[str, Tensor]:
        images, texts = normalize(self.image(inputs[0])), normalize(self.text(inputs[1]))
        segments = normalize(self.image(inputs[0] + 1)) if self.segments else None
        return self.head.loss(images, texts, samples, segments)


def data() -> tuple[Tensor, Tensor, list]:
    """Eight images; number 1 has two texts, number 2 none, and two carry the same caption."""
    torch.manual_seed(1)
    texts = [[f'text {i}'] for i in range(8)]
    texts[1], texts[2], texts[6] = ['a', 'b'], [], ['text 0']
    samples = [sample(f'set/{i}', own, own or None) for i, own in enumerate(texts)]
    return torch.randn(8, 4), torch.randn(8, 4), samples


def run(model: nn.Module, rows: slice, wrapped: bool) -> tuple[dict[str, Tensor], list[Tensor]]:
    images, texts, samples = data()
    before = sum(len(item.text_ids) for item in samples[: rows.start or 0])
    count = sum(len(item.text_ids) for item in samples[rows])
    called = DistributedDataParallel(model) if wrapped else model
    losses = called((images[rows], texts[before : before + count]), samples[rows])
    total(losses).backward()
    values = {name: value.detach() for name, value in losses.items()}
    return values, [weight.grad for weight in model.parameters()]


def on_a_rank(rank: int, segments: bool) -> tuple[dict[str, Tensor], list[Tensor]]:
    rows = slice(0, SIZES[0]) if rank == 0 else slice(SIZES[0], None)
    return run(Model(2, segments), rows, wrapped=True)


@pytest.mark.parametrize('segments', [False, True])
def test_two_ranks_in_chunks_equal_one_matrix(segments: bool, tmp_path: Path) -> None:
    expected = run(Model(None, segments), slice(None), wrapped=False)
    alone = run(Model(2, segments), slice(None), wrapped=False)
    for got in (alone, *run_on_ranks(on_a_rank, tmp_path, segments)):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_no_rank_gathers_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError('gathered')

    monkeypatch.setattr('urbancross_mm.models.heads.retrieval_head.all_gather_rows', refused)
    assert run(Model(2, False), slice(None), wrapped=False)[0]['loss_image_text'] > 0
    with pytest.raises(AssertionError, match='gathered'):
        run(Model(None, False), slice(None), wrapped=False)


@pytest.mark.parametrize('chunk', [0, -2, 1.5])
def test_bad_chunks(chunk: object) -> None:
    with pytest.raises(ValueError, match=f'chunk_size .*{chunk}'):
        SigLIPLoss(chunk_size=chunk)


def test_positives_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match='2 images and 3 texts'):
        SigLIPLoss(chunk_size=2)(torch.eye(3)[:2], torch.eye(3))
