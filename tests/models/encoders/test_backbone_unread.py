"""Which weights of a backbone train: those that what is read depends on, on two ranks as well."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from tests.models.encoders.backbone_sizes import SIDES, SIZES
from tests.ranks import run_on_ranks
from urbancross_mm.models import BackboneEncoder, CrossModalRetriever
from urbancross_mm.models.encoders import backbone_reader
from urbancross_mm.models.encoders.segment_tower import SegmentTower

# The kinds of backbones that have weights without a gradient, and how many; then those that have
# none because everything is read, or because training returns more than evaluation.
KINDS: dict[str, tuple[str, dict[str, Any], int]] = {
    'branches': ('mmpretrain.HRNet', {}, 30),
    'branches, all': ('mmpretrain.HRNet', dict(out_index='all'), 0),
    'norms of outputs': ('mmseg.SwinTransformer', {}, 6),
    'norms, all': ('mmseg.SwinTransformer', dict(out_index='all'), 0),
    'auxiliary outputs': ('mmseg.BiSeNetV1', {}, 27),
    'auxiliary outputs, first': ('mmseg.BiSeNetV1', dict(out_index=0), 0),
    'auxiliary branch': ('mmseg.BiSeNetV2', {}, 51),
    'auxiliary branch, all': ('mmseg.BiSeNetV2', dict(out_index='all'), 0),
    'of no output': ('mmpretrain.DeiT3', {}, 4),
    'more in training': ('mmseg.PIDNet', {}, 0),
    'more in training, all': ('mmseg.DDRNet', dict(out_index='all'), 0),
    'nested': ('mmpretrain.Conformer', {}, 0),
}


def build(kind: str, **more: Any) -> BackboneEncoder:
    name, options, _ = KINDS[kind]
    cfg: dict[str, Any] = dict(type=name, **SIZES[name])
    return BackboneEncoder(cfg, embed_dim=4, probe_size=SIDES.get(name, 64), **options, **more)


@pytest.mark.parametrize('kind', list(KINDS))
def test_what_nothing_reads_does_not_train(kind: str) -> None:
    """And the rest does, in one training step."""
    encoder = build(kind).train()
    frozen = [key for key, weight in encoder.named_parameters() if not weight.requires_grad]
    assert len(frozen) == KINDS[kind][2]
    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()
    for key, weight in encoder.named_parameters():
        assert (weight.grad is not None) is weight.requires_grad, key


def test_what_is_read_later_trains_again() -> None:
    encoder = build('norms of outputs')
    norms = [weight for key, weight in encoder.backbone.named_parameters() if key[:4] == 'norm']
    assert [weight.requires_grad for weight in norms] == [False] * 6 + [True] * 2
    encoder.freeze_unread([0, 3])
    assert [weight.requires_grad for weight in norms] == [True] * 2 + [False] * 4 + [True] * 2
    copied = copy.deepcopy(encoder)
    copied.freeze_unread(range(4))
    assert all(weight.requires_grad for weight in copied.parameters())
    assert [weight.requires_grad for weight in norms].count(False) == 4
    encoder.requires_grad_(False)
    encoder.freeze_unread(range(4))  # someone froze all of it: it stays so
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_frozen_and_copied_towers_stay_as_they_are() -> None:
    frozen = build('branches', frozen=True)
    assert not any(weight.requires_grad for weight in frozen.backbone.parameters())
    encoder = build('branches')
    for mode, count in (('frozen', 0), ('trainable', None)):
        tower = SegmentTower(encoder, mode=mode)
        trained = [key for key, w in tower.encoder.named_parameters() if w.requires_grad]
        wanted = [key for key, w in encoder.named_parameters() if w.requires_grad]
        assert trained == (wanted if count is None else [])


def test_the_log_says_once_what_does_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(backbone_reader, 'print_log', lambda text, *_: said.append(text))
    retriever = CrossModalRetriever(
        image_encoder=build('branches'),
        text_encoder=dict(type='GRUTextEncoder', vocab_size=9, embed_dim=4),
    )
    retriever.init_weights()
    retriever.init_weights()
    assert len(said) == 1 and '30 weights of HRNet' in said[0] and "'all'" in said[0]
    build('branches, all').init_weights()
    assert len(said) == 1


def _train_on_two_ranks(rank: int) -> dict[str, float]:
    """Two steps of each kind; the distance of the ranks' weights after them."""
    distances = {}
    for kind in KINDS:
        torch.manual_seed(0)
        encoder = build(kind).train()
        wrapped = DistributedDataParallel(encoder, find_unused_parameters=False)
        optimizer = torch.optim.SGD(encoder.parameters(), 0.01)
        torch.manual_seed(1 + rank)
        for _ in range(2):  # the second step fails where a weight had no gradient in the first
            optimizer.zero_grad()
            wrapped(torch.randn(2, 3, 64, 64)).square().mean().backward()
            optimizer.step()
        mine = torch.cat([weight.detach().flatten() for weight in encoder.parameters()])
        both = [torch.empty_like(mine) for _ in range(2)]
        torch.distributed.all_gather(both, mine)
        distances[kind] = float((both[0] - both[1]).abs().max())
    torch.manual_seed(0)
    whole = build('branches').train()
    whole.requires_grad_(True)
    wrapped = DistributedDataParallel(whole, find_unused_parameters=False)
    try:
        for _ in range(2):
            wrapped(torch.randn(2, 3, 64, 64)).square().mean().backward()
    except RuntimeError as error:
        distances['refused'] = float('find_unused_parameters' in str(error))
    return distances


def test_each_kind_trains_on_two_ranks(tmp_path: Path) -> None:
    """Under DistributedDataParallel without a search for unused weights, which refuses else."""
    for distances in run_on_ranks(_train_on_two_ranks, tmp_path):
        assert distances.pop('refused') == 1
        assert distances == dict.fromkeys(KINDS, 0.0)
