"""Chunks of a batch give its loss and gradient, with the activations of one chunk in memory."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.models.helpers import (
    EMBED_DIM,
    TINY_CLIP,
    batch,
    cross_modal,
    sample,
    total,
    urbancross,
)
from tests.ranks import run_on_ranks
from urbancross_mm.models import AMFMN, MCRN, MCRNPretrainer
from urbancross_mm.models.gradient_cache import encode_in_chunks
from urbancross_mm.registry import MODELS

CLIP_TEXT = dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP)
INFO_NCE = dict(type='RetrievalHead', loss=dict(type='InfoNCELoss'))
BACKBONE = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, out_indices=(0, 1, 2, 3))
MAPS = dict(
    type='BackboneEncoder', embed_dim=EMBED_DIM, probe_size=32, norm_eval=True, backbone=BACKBONE
)
GRU = dict(type='GRUTextEncoder', vocab_size=64, embed_dim=EMBED_DIM, word_dim=8, hidden_dim=8)


def model(kind: str, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    options: dict[str, Any] = dict(text_encoder=CLIP_TEXT, head=INFO_NCE, **kwargs)
    if kind == 'plain':
        return cross_modal(**options).train()
    if kind == 'pairs':
        neck = dict(weighting=dict(type='MultiscaleVisualNeck', grid=2))
        return AMFMN(MAPS, GRU, pyramid=neck, head=INFO_NCE, **kwargs).train()
    if kind == 'mcrn':
        return MCRN(MAPS, GRU, shared=dict(), head={}, alignment={}, dropout=0.0, **kwargs)
    return urbancross(kind, **options).train()


def inputs_of(size: int = 7) -> tuple[dict[str, Tensor], list]:
    torch.manual_seed(1)
    return batch(size)


def gradients(part: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in part.named_parameters() if p.grad is not None}


def step(part: nn.Module, inputs: dict[str, Tensor], samples: list) -> tuple[Tensor, dict]:
    loss = total(part(inputs, samples, mode='loss'))
    loss.backward()
    return loss.detach(), gradients(part)


def check_equal(got: tuple[Tensor, dict], expected: tuple[Tensor, dict]) -> None:
    """To 1e-5 of the loss, and of the length of the gradient: single weights may have none."""
    torch.testing.assert_close(got[0], expected[0], rtol=1e-5, atol=1e-6)
    assert got[1].keys() == expected[1].keys() and got[1]
    length = torch.cat([grad.flatten() for grad in expected[1].values()]).norm()
    for name, grad in expected[1].items():
        assert (got[1][name] - grad).norm() <= 1e-5 * length, name


@pytest.mark.parametrize('kind', ['plain', 'frozen', 'trainable', 'shared', 'pairs', 'mcrn'])
def test_loss_and_gradient_are_those_of_the_whole_batch(kind: str) -> None:
    whole, chunks = model(kind), model(kind, gradient_cache=2)
    if kind == 'mcrn':
        whole.eval(), chunks.eval()  # its shared encoding has BatchNorm
    inputs, samples = inputs_of()
    check_equal(step(chunks, inputs, samples), step(whole, inputs, samples))


def test_an_adaptation_gives_the_same_too() -> None:
    triplet = dict(type='CrossDomainTripletLoss')
    adaptation = dict(target='spain', losses=[triplet], selector=dict(type='SimilarSourceSelector'))
    inputs, samples = inputs_of(9)
    for row, item in enumerate(samples):
        item.set_metainfo(dict(domain='finland' if row < 6 else 'spain'))
        if row >= 6:
            item.set_metainfo(dict(caption_text_ids=[]))
    whole = model('trainable', adaptation=adaptation)
    chunks = model('trainable', adaptation=adaptation, gradient_cache=2)
    check_equal(step(chunks, inputs, samples), step(whole, inputs, samples))


class Recorder(nn.Module):
    """Counts rows, and remembers an activation without keeping it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3))
        self.rows: list[int] = []
        self.kept: list[weakref.ref] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.rows.append(len(inputs))
        hidden = self.layers[:3](inputs)
        self.kept.append(weakref.ref(hidden))
        return self.layers[3](hidden)


def test_dropout_is_that_of_the_first_pass() -> None:
    """The gradient is that of the masks which the loss has seen."""
    torch.manual_seed(0)
    cached, inputs = Recorder().train(), torch.randn(7, 4)
    plain = copy.deepcopy(cached)
    torch.manual_seed(3)
    kept = torch.cat([plain(part) for part in inputs.tensor_split(4)])
    torch.manual_seed(3)
    got = encode_in_chunks(cached, inputs, 2, cached)
    assert torch.equal(got, kept)
    torch.manual_seed(4)  # whatever is drawn in between
    after = torch.rand(1)
    torch.manual_seed(4)
    got.square().sum().backward()
    assert torch.equal(torch.rand(1), after)
    kept.square().sum().backward()
    for name, grad in gradients(plain).items():
        torch.testing.assert_close(gradients(cached)[name], grad, rtol=1e-6, atol=1e-7)


def test_activations_of_one_chunk_at_a_time() -> None:
    cached = Recorder()
    embeds = encode_in_chunks(cached, torch.randn(7, 4), 2, cached)
    assert cached.rows == [2, 2, 2, 1]
    assert all(reference() is None for reference in cached.kept)
    embeds.sum().backward()
    assert sorted(cached.rows) == [1, 1, 2, 2, 2, 2, 2, 2]
    with torch.no_grad():
        encode_in_chunks(cached, torch.randn(5, 4), 2, cached)
    assert max(cached.rows) == 2 and len(cached.rows) == 11
    plain = Recorder()
    plain(torch.randn(7, 4)).sum()  # freed with its graph, which the sum has
    out = plain(torch.randn(7, 4))
    assert plain.kept[-1]() is not None and out.requires_grad


def test_batch_norm_sees_chunks_and_counts_them_once() -> None:
    norm = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).train()
    plain, inputs = copy.deepcopy(norm), torch.randn(8, 3)
    expected = torch.cat([plain(part) for part in inputs.split(4)])
    got = encode_in_chunks(norm, inputs, 4, norm)
    torch.testing.assert_close(got, expected)
    got.square().sum().backward()
    assert torch.equal(norm[0].running_mean, plain[0].running_mean)
    assert torch.equal(norm[0].running_var, plain[0].running_var)
    assert not torch.allclose(plain(inputs), expected, atol=1e-2)


def test_batch_norm_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'urbancross_mm.models.retrievers.options.print_log', lambda text, **_: said.append(text)
        )
        trained = {**MAPS, 'norm_eval': False}
        cross_modal(image_encoder=trained, gradient_cache=2).train().init_weights()
        assert any('BatchNorm layers' in line and 'norm_eval=True' in line for line in said)
        said.clear()
        cross_modal(image_encoder=MAPS, gradient_cache=2).train().init_weights()
        assert not any('BatchNorm' in line for line in said)


def test_bfloat16() -> None:
    inputs, samples = batch(7)
    torch.manual_seed(0)
    whole = cross_modal(text_encoder=CLIP_TEXT, head=INFO_NCE).train()
    chunks = copy.deepcopy(whole)
    chunks.set_gradient_cache(2)
    got = []
    for part in (whole, chunks):
        with torch.autocast('cpu', torch.bfloat16):
            loss = total(part(inputs, samples, mode='loss'))
        loss.backward()
        got.append((loss.detach(), gradients(part)))
    torch.testing.assert_close(got[1][0], got[0][0], rtol=1e-2, atol=1e-2)
    for name, grad in got[0][1].items():
        difference = (got[1][1][name] - grad).norm()
        assert difference <= 0.05 * grad.norm() + 1e-4, name


def on_a_rank(rank: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Half of the batch, in chunks, within DistributedDataParallel."""
    part = model('trainable', gradient_cache=2)
    inputs, samples = inputs_of(10)
    rows = slice(5 * rank, 5 * rank + 5)
    wrapped = DistributedDataParallel(part)
    own = {name: value[rows] for name, value in inputs.items()}
    loss = total(wrapped(own, samples[rows], mode='loss'))
    loss.backward()
    return loss.detach(), gradients(part)


def test_two_ranks_in_chunks_equal_one_batch(tmp_path: Path) -> None:
    whole = model('trainable')
    expected = step(whole, *inputs_of(10))
    for got in run_on_ranks(on_a_rank, tmp_path):
        check_equal(got, expected)


@pytest.mark.parametrize('rows', [0, -1, 1.5, 'many', True])
def test_bad_sizes(rows: object) -> None:
    with pytest.raises(ValueError, match=f'gradient_cache .*{rows!r}'):
        cross_modal(gradient_cache=rows)


def test_what_cannot_be_cached_says_why() -> None:
    head = dict(type='LiteFPNHead', num_classes=3, channels=8, hidden_channels=4)
    cfg = dict(type='CrossModalRetriever', image_encoder=MAPS, text_encoder=GRU, gradient_cache=2)
    with pytest.raises(ValueError, match='gradient_cache.*decode_head'):
        MODELS.build(dict(cfg, pyramid=dict(decode_head=head)))
    MODELS.build(dict(cfg, pyramid=dict(weighting=dict(type='AdaptiveMultiscaleWeighting'))))
    with pytest.raises(ValueError, match='MCRNPretrainer takes no gradient_cache: .*optimizers'):
        MCRNPretrainer(MAPS, GRU, gradient_cache=2)


def test_samples_may_have_no_text() -> None:
    part = model('plain', gradient_cache=2)
    inputs, _ = inputs_of(5)
    samples = [sample(f'set/{i}', ['a'] if i % 2 else []) for i in range(5)]
    inputs['text'] = inputs['text'][:2]
    assert total(part(inputs, samples, mode='loss')).isfinite()
