"""AMFMN: scores of pairs, trained, evaluated and searched by."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.models.helpers import EMBED_DIM, TEXT_ENCODER, has_grad, sample, total
from tests.ranks import run_on_ranks
from tests.runs import ROOT, reset_mmengine_state, run, small_config
from urbancross_mm.apis import build_runner
from urbancross_mm.functional import contrastive
from urbancross_mm.models import AMFMN, build_part
from urbancross_mm.models.retrievers.amfmn import PairScorer
from urbancross_mm.registry import MODELS

IMAGE = dict(type='FeatureEncoder', in_channels=5, embed_dim=EMBED_DIM)
BACKBONE = dict(
    type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3)
)
ENCODER = dict(
    type='BackboneEncoder', embed_dim=EMBED_DIM, probe_size=64, norm_eval=True, backbone=BACKBONE
)
MVSA = dict(weighting=dict(type='MultiscaleVisualNeck', grid=4))
LOSS = dict(type='PairwiseRankingLoss', margin=0.2, reduction='mean')
GATES = ['soft', 'fusion', 'sim']


def build(gate: str = 'soft', loss: dict = LOSS, **kwargs: Any) -> AMFMN:
    torch.manual_seed(0)
    options = dict(pyramid=None, head=dict(type='RetrievalHead', loss=loss))
    return AMFMN(IMAGE, TEXT_ENCODER, attention=dict(gate=gate), **{**options, **kwargs})


def batch(size: int = 4) -> tuple[dict[str, Tensor], list]:
    torch.manual_seed(1)
    # The first two images carry the same caption.
    samples = [sample(f'set/{i}', [f'text {max(i, 1)}']) for i in range(size)]
    text = torch.randint(1, 64, (size, 8))
    text[0] = text[1]
    return dict(image=torch.randn(size, 5), text=text), samples


def naive_loss(scores: Tensor, positives: Tensor, margin: float = 0.2) -> Tensor:
    """Mean hinge over the negatives of both directions, a pair at a time."""
    terms = [
        (margin + scores[i, j] - scores[own, own]).clamp(min=0)
        for i in range(len(scores))
        for j in range(len(scores))
        if not positives[i, j]
        for own in (i, j)
    ]
    return torch.stack(terms).mean()


@pytest.mark.parametrize('gate', GATES)
def test_it_trains_on_the_scores_of_pairs(gate: str) -> None:
    model, (inputs, samples) = build(gate), batch()
    losses = model(inputs, samples, mode='loss')
    scores = model.attention(
        model.image_encoder(inputs['image']), model.text_encoder(inputs['text'])
    )
    positives = torch.eye(4, dtype=torch.bool)
    positives[0, 1] = positives[1, 0] = True  # an equal caption is no negative
    torch.testing.assert_close(losses['loss_image_text'], naive_loss(scores, positives))
    total(losses).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    assert has_grad(model.attention) and has_grad(model.image_encoder)


def test_an_image_with_several_captions_stands_once_for_each() -> None:
    model = build()
    inputs = dict(image=torch.randn(2, 5), text=torch.randint(1, 64, (3, 8)))
    loss = model(inputs, [sample('a', ['x', 'y']), sample('b', ['z'])], mode='loss')
    images = model.image_encoder(inputs['image'])[[0, 0, 1]]
    positives = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    expected = naive_loss(model.attention(images, model.text_encoder(inputs['text'])), positives)
    torch.testing.assert_close(loss['loss_image_text'], expected)


@pytest.mark.parametrize('kind', ['InfoNCELoss', 'SigLIPLoss'])
def test_any_loss_takes_scores(kind: str) -> None:
    loss, scores = build_part(dict(type=kind), 'loss'), torch.rand(3, 4, requires_grad=True)
    positives = torch.rand(3, 4) > 0.5
    if kind == 'InfoNCELoss':
        expected = contrastive.info_nce(scores, torch.eye(4), loss.scale, positives)
    else:
        scale = loss.logit_scale.exp()
        expected = contrastive.siglip(scores, torch.eye(4), scale, loss.logit_bias, positives)
    found = loss.of_scores(scores, positives)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert (scores.grad != 0).all()


@pytest.mark.parametrize('gate', GATES)
def test_the_pyramid_leaves_the_length_of_a_vector(gate: str) -> None:
    torch.manual_seed(0)
    head = dict(type='RetrievalHead', loss=LOSS)
    model = AMFMN(ENCODER, TEXT_ENCODER, attention=dict(gate=gate), pyramid=MVSA, head=head)
    images = torch.randn(3, 3, 64, 64)
    feats = model.encode_image(images)
    maps = model.image_encoder.encode_maps(images)
    own = model.image_encoder.embed_map(maps[-1])
    torch.testing.assert_close(feats, model.pyramid.weighting.pooled(maps, own))
    samples = [sample(f'set/{i}', [f'text {i}']) for i in range(3)]
    inputs = dict(image=images, text=torch.randint(1, 64, (3, 8)))
    total(model(inputs, samples, mode='loss')).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    found = model.eval()(inputs, samples, mode='predict')
    torch.testing.assert_close(
        torch.stack([item.image_embeds for item in found]), model.encode_image(images)
    )


def test_mvsa_is_the_default_and_amw_is_refused() -> None:
    model = AMFMN(ENCODER, TEXT_ENCODER)
    assert type(model.pyramid.weighting).__name__ == 'MultiscaleVisualNeck'
    with pytest.raises(ValueError, match='AdaptiveMultiscaleWeighting'):
        AMFMN(
            ENCODER, TEXT_ENCODER, pyramid=dict(weighting=dict(type='AdaptiveMultiscaleWeighting'))
        )


@pytest.mark.parametrize('gate', GATES)
def test_scores_equal_the_gate_and_do_not_depend_on_the_company(gate: str) -> None:
    model = build(gate).eval()
    images, texts = torch.randn(9, EMBED_DIM), torch.randn(7, EMBED_DIM)
    scores = model.score_pairs(images, texts)
    assert scores.dtype == torch.float64 and not scores.requires_grad
    torch.testing.assert_close(scores.float(), model.attention(images, texts), rtol=1e-4, atol=1e-5)
    one_by_one = torch.stack(
        [torch.cat([model.score_pairs(i[None], t[None])[0] for t in texts]) for i in images]
    )
    assert (scores - one_by_one).abs().max() < 1e-13
    assert next(model.attention.parameters()).dtype == torch.float32


def test_samples_carry_the_scores_but_a_file_of_them_no_weights() -> None:
    model, (inputs, samples) = build().eval(), batch()
    found = model(inputs, samples, mode='predict')
    images = torch.stack([item.image_embeds for item in found])
    texts = torch.cat([item.text_embeds for item in found])
    torch.testing.assert_close(
        found[0].score_pairs(images, texts), model.score_pairs(images, texts)
    )
    assert len(pickle.dumps(found[0].score_pairs)) < 200
    with pytest.raises(ValueError, match='file'):
        pickle.loads(pickle.dumps(PairScorer(model.attention)))(images, texts)


def test_adaptation_is_refused() -> None:
    cfg = dict(type='AMFMN', image_encoder=IMAGE, text_encoder=TEXT_ENCODER, pyramid=None)
    losses = [dict(type='PseudoPairLoss')]
    with pytest.raises(ValueError, match='AMFMN cannot be adapted'):
        MODELS.build(dict(cfg, adaptation=dict(target='spain', losses=losses)))


def on_a_rank(rank: int, gate: str) -> dict[str, Tensor]:
    model, (inputs, samples) = build(gate), batch(6)
    mine = slice(0, 4) if rank == 0 else slice(4, 6)  # ranks differ in size
    wrapped = DistributedDataParallel(model)
    losses = wrapped({name: rows[mine] for name, rows in inputs.items()}, samples[mine], 'loss')
    total(losses).backward()
    return dict(
        loss=losses['loss_image_text'].detach(),
        **{name: weight.grad for name, weight in model.named_parameters()},
    )


@pytest.mark.parametrize('gate', ['soft', 'fusion'])
def test_two_ranks_equal_one(gate: str, tmp_path: Path) -> None:
    model, (inputs, samples) = build(gate), batch(6)
    losses = model(inputs, samples, mode='loss')
    total(losses).backward()
    for of_rank in run_on_ranks(on_a_rank, tmp_path, gate):
        torch.testing.assert_close(of_rank.pop('loss'), losses['loss_image_text'].detach())
        for name, grad in of_rank.items():
            expected = model.get_parameter(name).grad
            torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-6, msg=name)


def small_amfmn(folder: Path, gate: str = 'fusion', **options: Any) -> Config:
    cfg = small_config('urbancross_finland_no-segments.py', folder, **options)
    cfg.model.type, cfg.model.attention = 'AMFMN', dict(gate=gate)
    cfg.model.pyramid = dict(weighting=dict(type='MultiscaleVisualNeck', grid=5))
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 1
    for name in ('val', 'test'):  # more images than the small validation set has
        cfg[f'{name}_dataloader'].dataset.ann_file = cfg.train_dataloader.dataset.ann_file
        cfg[f'{name}_dataloader'].dataset.indices = 12
    return cfg


def test_train_and_test(in_sample_dir: Path, tmp_path: Path) -> None:
    """End to end: two iterations, then recall and result grids, each against single pairs."""
    cfg = small_amfmn(tmp_path)
    cfg.default_hooks.visualization = dict(
        type='RetrievalVisualizationHook', show_dir=str(tmp_path / 'grids'), topk=3
    )
    reset_mmengine_state()
    runner = build_runner(cfg)
    runner.train()
    grids = []
    runner.visualizer.draw_grid = lambda query, hits: (
        grids.append((query, hits)) or np.zeros((4, 4, 3), np.uint8)
    )
    metrics = runner.test()
    samples = [s for batch in runner.test_dataloader for s in runner.model.test_step(batch)]
    # An oracle without the scorer: the gate in float64, a pair at a time.
    gate = copy.deepcopy(runner.model.attention).double()
    rows = {s.img_path: s.image_embeds.double() for s in samples}
    texts = {text: row.double() for s in samples for text, row in zip(s.texts, s.text_embeds)}
    with torch.no_grad():
        table = {
            text: {path: float(gate(image[None], row[None])) for path, image in rows.items()}
            for text, row in texts.items()
        }
    ranks = [
        1 + sum(score > table[caption][s.img_path] + 1e-9 for score in table[caption].values())
        for s in samples
        for caption in s.captions
    ]
    assert metrics['retrieval/num_images'] == 12 and len(ranks) == metrics['retrieval/num_texts']
    for k in (1, 5, 10):
        expected = 100 * sum(rank <= k for rank in ranks) / len(ranks)
        assert metrics[f'retrieval/t2i_R@{k}'] == pytest.approx(expected)
    assert grids
    for query, hits in grids:
        best = sorted(table[query], key=lambda path: -table[query][path])[:3]
        assert [hit.img_path for hit in hits] == best


def test_the_command_line(in_sample_dir: Path, tmp_path: Path) -> None:
    """tools/test.py on a checkpoint gives the numbers of its validation, and a dump."""
    cfg = small_amfmn(tmp_path / 'run', gate='soft')
    cfg.dump(tmp_path / 'amfmn.py')
    runner = run(Config.fromfile(tmp_path / 'amfmn.py'))
    expected = runner.message_hub.get_scalar('val/retrieval/mR').current()
    weights = str(tmp_path / 'run/epoch_1.pth')
    for item, file in (('metrics', 'm.json'), ('pred', 'p.pkl')):
        done = subprocess.run(
            [
                *(sys.executable, '-W', 'ignore', str(ROOT / 'tools/test.py')),
                *(str(tmp_path / 'amfmn.py'), weights, '--work-dir', str(tmp_path / 'test')),
                *('--out', str(tmp_path / file), '--out-item', item),
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    metrics = json.loads((tmp_path / 'm.json').read_text())
    assert metrics['retrieval/mR'] == pytest.approx(expected)
    dumped = pickle.loads((tmp_path / 'p.pkl').read_bytes())
    assert len(dumped) == 12 and dumped[0]['image_embeds'].shape == (256,)
