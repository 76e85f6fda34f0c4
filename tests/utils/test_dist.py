"""Two gloo ranks: gathering, and a loss whose value and gradient equal one process."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dist import get_dist_info
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.ranks import run_on_ranks
from urbancross_mm.functional import contrastive, similarity
from urbancross_mm.utils import dist


class TwoTowers(nn.Module):
    """Two linear encoders and a learned scale: the smallest contrastive model."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.image, self.text = nn.Linear(6, 4), nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.tensor(2.0))
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def forward(self, image: torch.Tensor, text: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        images = dist.all_gather(similarity.normalize(self.image(image)), with_grad=True)
        texts = dist.all_gather(similarity.normalize(self.text(text)), with_grad=True)
        keys = dist.all_gather(keys)
        return contrastive.info_nce(images, texts, self.scale.exp(), keys[:, None] == keys)


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eight pairs; one image appears on both halves."""
    generator = torch.Generator().manual_seed(4)
    return (
        torch.randn(8, 6, generator=generator),
        torch.randn(8, 5, generator=generator),
        torch.tensor([0, 1, 2, 2, 3, 0, 4, 5]),
    )


def loss_and_gradients(model: nn.Module, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    loss = model(*inputs)
    loss.backward()
    gradients = {
        name.removeprefix('module.'): parameter.grad for name, parameter in model.named_parameters()
    }
    return dict(gradients, loss=loss.detach())


def on_a_rank(rank: int) -> dict[str, Any]:
    half = [part.chunk(2)[rank] for part in batch()]
    result = loss_and_gradients(DistributedDataParallel(TwoTowers()), *half)
    result['world'] = get_dist_info()
    result['ids'] = dist.all_gather(torch.tensor([[2**62 + rank, -1]]))
    for shape in ((2 + rank, 3), (2, 3 + rank), (2,) * (rank + 1)):
        try:
            dist.all_gather(torch.zeros(shape), with_grad=True)
        except ValueError as error:
            result[str(shape[0])] = str(error)
    result['uneven'] = [value for value in result.values() if isinstance(value, str)]
    rows = (torch.arange(2 * (rank + 1)).view(rank + 1, 2) + 10.0 * rank).requires_grad_()
    result['rows'] = dist.all_gather_rows(rows, with_grad=True)
    # Each rank computes the loss of all rows; the gradients of both come back.
    (result['rows'] * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    result['rows_grad'], result['rows'] = rows.grad, result['rows'].detach()
    result['none'] = dist.all_gather_rows(torch.ones(2 * rank, 3))
    result['plain'] = dist.all_gather_rows(rows).requires_grad
    return result


def values_of_a_rank(rank: int) -> list[torch.Tensor]:
    tensors = [
        torch.full((2, 3), rank + 0.5).t(),
        torch.tensor(2**40 + rank),
        torch.tensor([rank == 0]),
        torch.full((2,), rank + 0.25, dtype=torch.bfloat16),
        nn.Parameter(torch.full((1, 2), rank + 7.0)),
    ]
    dist.copy_from_first(tensors)
    return [tensor.detach() for tensor in tensors]


def test_values_of_the_first_rank(tmp_path: Path) -> None:
    for values in run_on_ranks(values_of_a_rank, tmp_path):
        expected = [
            torch.full((3, 2), 0.5),
            torch.tensor(2**40),
            torch.tensor([True]),
            torch.full((2,), 0.25, dtype=torch.bfloat16),
            torch.full((1, 2), 7.0),
        ]
        torch.testing.assert_close(values, expected, rtol=0, atol=0)


def test_two_ranks_equal_one_in_loss_and_gradient(tmp_path: Path) -> None:
    one = loss_and_gradients(TwoTowers(), *batch())
    ranks = run_on_ranks(on_a_rank, tmp_path)
    for rank, two in enumerate(ranks):
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, msg=name)
        assert two['world'] == (rank, 2)
        assert two['ids'].tolist() == [[2**62, -1], [2**62 + 1, -1]]
        assert two['uneven'] and all('different shapes' in text for text in two['uneven'])
        assert two['rows'].tolist() == [[0, 1], [10, 11], [12, 13]]
        assert two['rows_grad'].tolist() == [[[2, 2]], [[4, 4], [6, 6]]][rank]
        assert two['none'].shape == (2, 3) and not two['plain']


def test_one_process_gathers_itself() -> None:
    tensor = torch.randn(3, 2, requires_grad=True)
    assert dist.all_gather(tensor, with_grad=True) is tensor
    assert dist.all_gather(tensor) is tensor
    assert dist.all_gather_rows(tensor, with_grad=True) is tensor


def test_a_number_cannot_be_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='0 dimensions'):
        dist.all_gather(torch.tensor(1.0))
