"""Devices by name, and the precision of matrix products."""

import pytest
import torch

from urbancross_mm.registry import MODELS
from urbancross_mm.utils.devices import full_precision, usable_device


@pytest.fixture(params=['highest', 'high', 'medium'])
def setting(request: pytest.FixtureRequest) -> str:
    """A precision that a user chose for the process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


def test_a_device_that_is_not_there_is_named() -> None:
    assert usable_device('cpu') == 'cpu'
    for name in ('cuda:99', 'xyz', 'meta'):
        with pytest.raises(ValueError, match=name):
            usable_device(name)


def test_full_precision_ends_with_the_block(setting: str) -> None:
    with pytest.raises(KeyError), full_precision():
        assert torch.get_float32_matmul_precision() == 'highest'
        raise KeyError
    assert torch.get_float32_matmul_precision() == setting


LOSSES = pytest.mark.parametrize(
    'config',
    [
        dict(type='InfoNCELoss'),
        dict(type='SigLIPLoss'),
        dict(type='PairwiseRankingLoss', negatives='hardest'),
    ],
    ids=lambda config: config['type'],
)


@LOSSES
def test_losses_set_it_once_and_restore_it(
    config: dict, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, seen = MODELS.build(config), []
    compute = loss.compute

    def watched(*args: torch.Tensor | None) -> torch.Tensor:
        seen.append((torch.get_float32_matmul_precision(), torch.is_autocast_enabled('cpu')))
        return compute(*args)

    monkeypatch.setattr(loss, 'compute', watched)
    with torch.autocast('cpu', torch.bfloat16):
        loss(torch.randn(6, 8), torch.randn(6, 8))
        assert torch.is_autocast_enabled('cpu')
    assert seen == [('highest', False)]
    assert torch.get_float32_matmul_precision() == setting


@LOSSES
def test_losses_compile_to_one_graph_of_the_same_value(config: dict, setting: str) -> None:
    torch._dynamo.reset()
    loss = MODELS.build(config)
    images = torch.randn(6, 8, requires_grad=True)
    texts = torch.randn(6, 8)
    with torch.autocast('cpu', torch.bfloat16):
        value = torch.compile(loss, backend='eager', fullgraph=True)(images, texts)
        torch.testing.assert_close(value, loss(images, texts))
    value.backward()
    assert images.grad.isfinite().all()
    assert torch.get_float32_matmul_precision() == setting
